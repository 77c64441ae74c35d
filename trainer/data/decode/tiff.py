"""TIFF of any depth up to 16 bits, in either byte order and polarity, and with separate planes."""

import io
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from trainer.data.decode import orientation
from trainer.data.decode.depth import eight_bits
from trainer.data.decode.limits import MOST_PIXELS, Unreadable

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
BIG = (b"+\0", b"\0+")

# Tags, and some of their values.
WIDTH, HEIGHT, BITS, PHOTOMETRIC, COMPONENTS = 256, 257, 258, 262, 277
PLANAR, TILE_WIDTH, TILE_HEIGHT, EXTRA, SAMPLE_FORMAT = 284, 322, 323, 338, 339
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
COMPONENTS_OF: dict[Any, tuple[int, ...]] = {
    WHITE_IS_ZERO: (1,),
    BLACK_IS_ZERO: (1, 2),
    RGB: (3, 4),
}
SEPARATE_PLANES = 2
ALPHA = (1, 2)
UNSIGNED, FLOAT = 1, 3
MOST_BITS = 16


def tags(data: bytes) -> ImageFileDirectory_v2:
    """Returns the tags of the first image."""
    file = io.BytesIO(data)
    found = ImageFileDirectory_v2(file.read(16 if data[2:4] in BIG else 8))
    file.seek(found.next)
    found.load(file)
    return found


def decode(data: bytes) -> Image.Image:
    """Decodes a TIFF of one image, whose size was checked: 8 bits, grey or RGB, upright.

    Raises:
      Unreadable: if it holds several images, or values or colours of another kind.
    """
    found = tags(data)
    if found.next:
        raise Unreadable("several images in one TIFF file; one is allowed")
    bits = _bits(found)
    if found.get(TILE_WIDTH, 1) * found.get(TILE_HEIGHT, 1) > MOST_PIXELS:
        raise Unreadable("damaged: a TIFF whose tiles are larger than any image")
    values = imagecodecs.tiff_decode(data)
    if values.ndim == 3 and found.get(PLANAR) == SEPARATE_PLANES:
        values = np.moveaxis(values, 0, -1)
    expected = (found[HEIGHT], found[WIDTH], found.get(COMPONENTS, 1))
    if (*values.shape, 1)[:3] != expected:
        raise Unreadable(f"damaged: a TIFF of {values.shape} values that declares {expected}")
    if values.ndim == 3 and found.get(EXTRA, (0,))[0] not in ALPHA:
        values = values[..., : 3 if found.get(PHOTOMETRIC) == RGB else 1]
    image = eight_bits(values, bits)
    if found.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        image = Image.fromarray(~np.asarray(image))
    return orientation.upright(image, found.get(orientation.TAG))


def _bits(found: ImageFileDirectory_v2) -> int:
    """Returns how many bits each value has."""
    depths, components = set(found.get(BITS, (1,))), found.get(COMPONENTS, 1)
    if FLOAT in found.get(SAMPLE_FORMAT, (UNSIGNED,)):
        raise Unreadable("floating-point grey values")
    photometric = found.get(PHOTOMETRIC)
    allowed = COMPONENTS_OF.get(photometric, ())
    if len(depths) > 1 or max(depths) > MOST_BITS or components not in allowed:
        raise Unreadable(
            f"a TIFF of {components} components of {max(depths)} bits, photometric interpretation "
            f"{photometric}; grey or RGB of up to {MOST_BITS} bits is allowed"
        )
    return depths.pop()
