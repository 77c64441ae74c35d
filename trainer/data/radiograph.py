"""Any image file to grey pixels, or the reason why not."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SMALLEST_SIDE = 16
MOST_PIXELS = 100_000_000
# What Pillow tells of a JPEG without metadata.
PLAIN_INFO = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi"}
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")


class Unreadable(Exception):
    """Why a file is no radiograph that can be used."""


def decode(data: bytes, max_side: int) -> np.ndarray:
    """Decodes an image file by its content, whatever its name says.

    Colour becomes luma (ITU-R 601), 16 bits become the upper 8, the EXIF orientation is applied,
    and an image whose longer side exceeds `max_side` is shrunk to it, antialiased.

    Args:
      data: the file's bytes.
      max_side: longest side of the result, pixels.

    Returns:
      Grey values, [H, W, 1] uint8.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    if not data:
        raise Unreadable("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(*image.size)
                image.load()
                image = _to_grey(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise Unreadable("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"more than {MOST_PIXELS // 10**6} million pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, MemoryError) as error:
        raise Unreadable(f"damaged: {error}") from None
    image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(image, np.uint8)[..., None]


def recode(data: bytes, max_side: int) -> bytes:
    """Turns an image file into one that holds what `decode` returns, without loss.

    A grey JPEG that is small enough and says nothing but its pixels stays as it is, which is a
    quarter of the size; all else becomes PNG.

    Raises:
      Unreadable: with the reason, in a few words.
    """
    pixels = decode(data, max_side)
    with Image.open(io.BytesIO(data)) as image:
        plain = image.format == "JPEG" and image.mode == "L" and set(image.info) <= PLAIN_INFO
        if plain and image.size == pixels.shape[1::-1]:
            return data
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(file, "PNG", compress_level=2)
    return file.getvalue()


def squash(data: bytes, side: int) -> np.ndarray:
    """Decodes what `recode` returned, and squashes it to a square, bilinear and antialiased.

    Returns:
      Grey values, [side, side, 1] uint8.
    """
    with Image.open(io.BytesIO(data)) as image:
        squashed = image.resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(squashed)[..., None]


def _check_size(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise Unreadable(f"{width}x{height} pixels; the smallest side allowed is {SMALLEST_SIDE}")
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{width}x{height} is more than {MOST_PIXELS // 10**6} million pixels")


def _to_grey(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unreadable(f"grey values from {values.min()} to {values.max()}, not 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    if image.mode == "F":
        raise Unreadable("floating-point grey values")
    return image.convert("L")
