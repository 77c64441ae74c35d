"""Encodes a radiograph as it is stored: grey pixels and nothing else."""

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
from PIL import Image, ImageFilter

from trainer.data.decode import radiograph

# How images are encoded alike: blurred until the blocks and the quantisation of the source cannot
# be seen, then quantised once. Measured on 60 fine originals of the
# Kermany set against the same as its other class is encoded (1160 pixels, quality 75), at 512
# pixels: AUC of distinguishing the two by DCT, blockiness and spectrum, cross-validated.
#   shrunk alone 1.00; with quality 75 0.62; blur of 1 and quality 75 0.51; 256 pixels alone 0.61
# The classes themselves stay 0.97 apart by the same features, whether by their lungs or otherwise.
UNIFORM_BLUR = 1.0  # standard deviation, pixels
UNIFORM_QUALITY = 75


@dataclass(frozen=True)
class Recoded:
    """A file of grey pixels as it is stored.

    Attributes:
      file: JPEG or PNG.
      pixels: of a PNG, [H, W, 1] uint8; None of a JPEG.
    """

    file: bytes
    pixels: np.ndarray | None = None

    def shrunk(self, max_side: int) -> np.ndarray:
        """Returns `radiograph.decode(file, max_side)`, which a PNG is not decoded for."""
        if self.pixels is None:
            return radiograph.decode(self.file, max_side)
        return radiograph.shrunk(self.pixels, max_side)


def recode(data: bytes, max_side: int, any_view: bool = False, *, uniform: bool = False) -> bytes:
    """Turns an image file into a small one of grey pixels and nothing else.

    Without `uniform` it holds what `radiograph.decode` returns, without loss: a JPEG that shows no
    colour, is small enough and holds nothing but its pixels stays as it is, which is a quarter of
    the size, and of the time to decode it; all else becomes PNG.

    With `uniform` every image, whatever it was, comes out the same way, for data whose encoding
    predicts the class: resampled to a longest side of exactly `max_side`, blurred (`UNIFORM_BLUR`),
    and JPEG of one quality. That removes format, size, metadata, block edges, quantisation and the
    noise that a coarse quantiser had erased. It leaves the aspect ratio, which cropping removes,
    and the blur of images much smaller than `max_side`.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    return recoded(data, max_side, any_view, uniform=uniform).file


def recoded(
    data: bytes, max_side: int, any_view: bool = False, *, uniform: bool = False
) -> Recoded:
    """Recodes as `recode` does, and keeps the pixels."""
    decoded = _decoded(data, max_side, any_view)
    if uniform:
        return Recoded(_uniform(Image.fromarray(decoded.pixels[..., 0]), max_side))
    if decoded.plain:
        return Recoded(data)
    return Recoded(_png(decoded.pixels), decoded.pixels)


def stored_image(
    data: bytes, max_side: int, any_view: bool = False, *, uniform: bool = False
) -> Image.Image:
    """Returns the grey image that the result of `recode` holds, without encoding it for nothing.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    decoded = _decoded(data, max_side, any_view)
    grey = Image.fromarray(decoded.pixels[..., 0])
    return Image.open(io.BytesIO(_uniform(grey, max_side))) if uniform else grey


def _decoded(data: bytes, max_side: int, any_view: bool) -> radiograph.Decoded:
    decoded = radiograph.decoded(data, max_side, any_view)
    radiograph.check_not_blank(decoded.pixels)
    return decoded


def _png(pixels: np.ndarray) -> bytes:
    """Encodes as PNG. Paeth's filter leaves little but noise of a radiograph.

    So a search for repetitions finds few: without one, encoding takes a third of the time, and
    the file is a tenth smaller than after Pillow's choice of filters at level 2.
    """
    huffman, paeth = imagecodecs.PNG.STRATEGY.HUFFMAN_ONLY, imagecodecs.PNG.FILTER.PAETH
    return bytes(imagecodecs.png_encode(pixels[..., 0], level=1, strategy=huffman, filter=paeth))


def _uniform(grey: Image.Image, side: int) -> bytes:
    grey = grey.resize(radiograph.fitted_size(grey.size, side), radiograph.LANCZOS)
    file = io.BytesIO()
    grey.filter(ImageFilter.GaussianBlur(UNIFORM_BLUR)).save(file, "JPEG", quality=UNIFORM_QUALITY)
    return file.getvalue()
