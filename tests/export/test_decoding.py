"""The exported graph decodes files to the pixels that preparation stores, or refuses them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, PngImagePlugin

from trainer.data.decode import radiograph
from trainer.export import decoding

SIDE = 64


@pytest.fixture(scope="module")
def decode() -> Callable[[bytes], np.ndarray]:
    spec = [tf.TensorSpec([], tf.string)]
    compiled = tf.function(lambda data: decoding.decode(data, SIDE), input_signature=spec)
    return lambda data: compiled(data).numpy()


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth shapes with noise on them, in colour."""
    random = np.random.default_rng(width)
    coarse = random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height))).astype(int)
    noisy = np.clip(smooth + random.integers(-20, 20, smooth.shape), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def with_orientation(turn: int, kind: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return encoded(picture(90, 60), kind, exif=exif)


def with_text(image: Image.Image, key: str, text: str, **options: object) -> bytes:
    """Returns a PNG with text before its pixels."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text(key, text)
    return encoded(image, "PNG", pnginfo=texts, **options)


def with_large_profile(jpeg: bytes) -> bytes:
    """Returns a JPEG with 100 KB of other segments before EXIF's."""
    segment = b"\xff\xe2" + (50_002).to_bytes(2, "big") + bytes(50_000)
    return jpeg[:2] + 2 * segment + jpeg[2:]


# Below the side, above it, and where a JPEG is decoded at 1/2 and at 1/4.
JPEGS = [(60, 50), (64, 64), (150, 101), (385, 301), (383, 257), (801, 640), (1203, 771)]


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("size", JPEGS)
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_decoded_as_in_preparation_bit_for_bit(decode, size, mode: str, progressive: bool):
    data = encoded(picture(*size, mode), "JPEG", quality=75, progressive=progressive)
    np.testing.assert_array_equal(decode(data), radiograph.decode(data, SIDE)[..., 0])


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "RGBA"])
@pytest.mark.parametrize("size", [(50, 64), (301, 200)])
def test_png_is_decoded_as_in_preparation_bit_for_bit(decode, size, mode: str):
    data = encoded(picture(*size).convert(mode), "PNG")
    np.testing.assert_array_equal(decode(data), radiograph.decode(data, SIDE)[..., 0])


def test_upright_exif_is_read(decode):
    data = with_orientation(1)
    np.testing.assert_array_equal(decode(data), radiograph.decode(data, SIDE)[..., 0])


DEEP = Image.fromarray(np.arange(6000, dtype=np.uint16).reshape(60, 100))
CLEAR = picture(60, 50)
CLEAR.putalpha(100)
PALETTE = picture(60, 50, "P")
HOLES: dict[str, Any] = {"transparency": PALETTE.getpixel((0, 0))}
XMP = '<rdf:Description tiff:Orientation="6"/>'
REFUSED = {
    "rotated by EXIF": with_orientation(6),
    "rotated by EXIF ": with_large_profile(with_orientation(6)),
    "rotated by EXIF  ": with_orientation(6, "PNG"),
    "rotated by EXIF   ": encoded(picture(90, 60), "JPEG", xmp=XMP.encode()),
    "rotated by EXIF    ": with_text(picture(90, 60), "Raw profile type exif", "00"),
    "several images": encoded(
        picture(60, 50), "PNG", save_all=True, append_images=[picture(60, 50, "L")]
    ),
    "no radiograph has this size": encoded(picture(60, 15), "PNG"),
    "no radiograph has this size ": encoded(picture(300, 30), "JPEG"),
    "more than 8 bits": encoded(DEEP, "PNG"),
    "transparent": encoded(CLEAR, "PNG"),
    "transparent ": encoded(PALETTE, "PNG", **HOLES),
    "transparent  ": with_text(PALETTE, "Comment", "IDAT", **HOLES),
    "neither a JPEG nor a PNG": encoded(picture(60, 50), "BMP"),
    "neither a JPEG nor a PNG ": b"",
    "in CMYK": encoded(picture(60, 50, "CMYK"), "JPEG"),
    "6 times as long": encoded(picture(400, 60, "L"), "PNG"),
    "blank": encoded(Image.new("L", (60, 50), 7), "PNG"),
    "Invalid JPEG": encoded(picture(90, 60), "JPEG")[:1500],
    "Invalid PNG": encoded(picture(90, 60), "PNG")[:3000],
}


@pytest.mark.parametrize("fault", REFUSED)
def test_what_would_be_other_pixels_is_refused_in_words(decode, fault: str):
    with pytest.raises(tf.errors.InvalidArgumentError, match=fault.strip()):
        decode(REFUSED[fault])
