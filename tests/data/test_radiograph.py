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


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("max_side", [32, 512])
def test_prepared_pixels_are_kept_without_loss(mode: str, kind: str, max_side: int):
    data = file_of(Image.fromarray(RAMP).convert(mode), kind)
    prepared = radiograph.recode(data, max_side)
    np.testing.assert_array_equal(decoded(prepared), decoded(data, max_side))
    assert Image.open(io.BytesIO(prepared)).mode == "L"


def test_a_small_grey_jpeg_stays_as_it_is():
    data = file_of(Image.fromarray(RAMP), "JPEG", dpi=(72, 72))
    assert radiograph.recode(data, 512) == data


def test_what_a_file_says_besides_its_pixels_is_dropped():
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    for remark in ({"exif": exif}, {"comment": b"Jane Doe"}):
        data = file_of(Image.fromarray(RAMP), "JPEG", **remark)
        assert b"Jane Doe" in data and b"Jane Doe" not in radiograph.recode(data, 512)


def test_squashing_averages_what_it_shrinks():
    stripes = np.zeros((48, 64), np.uint8)
    stripes[:, ::2] = 200
    squashed = radiograph.squash(radiograph.recode(file_of(Image.fromarray(stripes)), 512), 16)
    assert squashed.shape == (16, 16, 1) and squashed.dtype == np.uint8
    np.testing.assert_allclose(squashed[:, 1:-1], 100, atol=2)


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
