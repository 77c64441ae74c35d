"""Any image file to grey pixels, or the reason why not."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

SMALLEST_SIDE = 16
MOST_PIXELS = 100_000_000
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


def encode(pixels: np.ndarray) -> bytes:
    """Encodes [H, W, 1] uint8 as PNG, without loss."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(file, "PNG", compress_level=2)
    return file.getvalue()


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
