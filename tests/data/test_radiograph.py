"""Any image file becomes grey pixels, or a reason why not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.data import radiograph
from trainer.data.radiograph import Unreadable

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))


def file_of(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(data: bytes, max_side: int = 512) -> np.ndarray:
    return radiograph.decode(data, max_side)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_every_colour_mode_gives_the_same_grey(mode: str):
    image = Image.fromarray(RAMP)
    if mode == "I;16":
        image = Image.fromarray(RAMP.astype(np.uint16) * 257)
    elif mode == "P":
        image = image.convert("P")
    else:
        image = image.convert(mode)
    pixels = decoded(file_of(image))
    assert pixels.shape == (48, 64, 1) and pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[..., 0], RAMP, atol=1)


def test_prepared_pixels_are_kept_without_loss():
    pixels = RAMP[..., None]
    np.testing.assert_array_equal(decoded(radiograph.encode(pixels)), pixels)


def test_the_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    pixels = decoded(file_of(Image.fromarray(RAMP), "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(pixels[..., 0], np.rot90(RAMP, -1), atol=4)


def test_a_large_image_is_shrunk_and_keeps_its_aspect():
    assert decoded(file_of(Image.fromarray(RAMP)), max_side=32).shape == (24, 32, 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an image"),
        (file_of(Image.fromarray(RAMP), "JPEG")[:300], "damaged"),
        (file_of(Image.new("L", (1, 1))), "1x1"),
    ],
)
def test_what_is_no_radiograph_is_refused_with_a_reason(data: bytes, reason: str):
    with pytest.raises(Unreadable, match=reason):
        decoded(data)


def test_a_decompression_bomb_is_refused_before_it_is_decoded():
    header = file_of(Image.new("1", (20000, 20000)))
    with pytest.raises(Unreadable, match="million pixels"):
        decoded(header)


def test_odd_real_files_decode_or_say_why(shared_data: Path):
    files = [f for f in sorted((shared_data / "odd_images").rglob("*")) if f.is_file()]
    assert len(files) > 20
    kept = 0
    for file in files:
        try:
            pixels = decoded(file.read_bytes())
        except Unreadable as reason:
            assert str(reason)
        else:
            kept += 1
            assert pixels.ndim == 3 and pixels.dtype == np.uint8 and max(pixels.shape) <= 512
    assert kept > 15
