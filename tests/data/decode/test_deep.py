"""Formats and depths that Pillow does not read come out like the same image in PNG."""

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from tests.data.decode.tiff_files import packed_tiff
from trainer.data.decode import radiograph
from trainer.data.decode.radiograph import Unreadable

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
DEEP = RAMP.astype(np.uint16)
GREY, WHITE_IS_ZERO, SEPARATE = 1, 0, 2


def decoded(data: bytes) -> np.ndarray:
    return radiograph.decode(data, 512)[..., 0]


def scaled(bits: int) -> np.ndarray:
    return np.round(RAMP / 255 * (2**bits - 1)).astype(np.uint16)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [2, 4, 6, 8, 10, 12, 14, 16])
def test_tiff_of_every_depth_order_and_polarity(bits: int, order: str):
    steps = 255 / (2**bits - 1) if bits < 8 else 1
    data = packed_tiff(scaled(bits), bits, order)
    np.testing.assert_allclose(decoded(data), RAMP, atol=steps)
    inverse = packed_tiff(2**bits - 1 - scaled(bits), bits, order, photometric=WHITE_IS_ZERO)
    np.testing.assert_allclose(decoded(inverse), RAMP, atol=steps)


@pytest.mark.parametrize("planar", [1, SEPARATE])
@pytest.mark.parametrize("factor", [1, 16, 257])
def test_colour_tiff_is_read_by_the_bits_in_use_whatever_its_planes(factor: int, planar: int):
    colours = np.stack([DEEP, DEEP // 2, DEEP // 4], -1)
    luma = np.asarray(Image.fromarray(colours.astype(np.uint8)).convert("L"))
    for order in "<>":
        data = packed_tiff(colours * factor, 16, order, planar=planar)
        np.testing.assert_allclose(decoded(data), luma, atol=1)


def test_a_deep_tiff_is_turned_upright_once():
    data = packed_tiff(scaled(10), 10, orientation=6)
    np.testing.assert_allclose(decoded(data), np.rot90(RAMP, -1), atol=1)


@pytest.mark.parametrize("data", [packed_tiff(scaled(10), 10), packed_tiff(scaled(14), 14, ">")])
def test_a_cut_tiff_is_damaged(data: bytes):
    with pytest.raises(Unreadable, match="damaged"):
        radiograph.decode(data[:-400], 512)


@pytest.mark.parametrize("channels", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("factor", [1, 4, 16, 257])
def test_few_saturated_pixels_do_not_darken_an_image_of_any_mode(channels: str, factor: int):
    values = DEEP * factor
    values[5:12, 5:12] = 65535  # 1.6 % of the pixels
    values[20, 20:30] = 50000  # and few that are as bright
    opaque = np.full_like(values, 65535)
    planes = {"L": [values], "RGB": [values] * 3}.get(channels.removesuffix("A"), [])
    if channels.endswith("A"):
        planes = [*planes, opaque]
    data = imagecodecs.png_encode(np.stack(planes, -1) if len(planes) > 1 else values)
    expected = RAMP.copy()
    expected[5:12, 5:12] = 255
    expected[20, 20:30] = min(255, 50000 // factor)
    np.testing.assert_allclose(decoded(data), expected, atol=1)


def test_deep_colour_that_is_transparent_lies_over_black_and_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = io.BytesIO()
    Image.fromarray(RAMP).save(plain, "PNG", exif=exif)
    start = plain.getvalue().index(b"eXIf") - 4
    chunk = plain.getvalue()[start : plain.getvalue().index(b"IDAT") - 4]
    opacity = np.where(np.arange(64) < 32, 0, 65535).astype(np.uint16)
    png = imagecodecs.png_encode(np.stack([DEEP * 16, np.tile(opacity, (48, 1))], -1))
    data = png.index(b"IDAT") - 4
    expected = np.where(np.arange(64) < 32, 0, RAMP)
    turned = decoded(png[:data] + chunk + png[data:])
    np.testing.assert_allclose(turned, np.rot90(expected, -1), atol=1)


@pytest.mark.parametrize(
    "data",
    [
        imagecodecs.jpegls_encode(RAMP),
        imagecodecs.jpegls_encode(DEEP * 16) + b"\xff",
        imagecodecs.jpegls_encode(np.stack([RAMP] * 3, -1)),
        imagecodecs.jpeg2k_encode(DEEP * 16, codecformat="JP2", bitspersample=12, level=0),
        imagecodecs.jpeg2k_encode(np.stack([DEEP * 16] * 3, -1), codecformat="JP2", level=0),
        imagecodecs.jpeg8_encode(DEEP * 16, lossless=True, bitspersample=12),
        imagecodecs.jpeg8_encode(RAMP, lossless=True),
        imagecodecs.jpeg8_encode(np.stack([DEEP * 16] * 3, -1), level=99, bitspersample=12),
    ],
    ids=["LS", "deep LS", "colour LS", "JP2", "colour JP2", "lossless 12", "lossless", "colour 12"],
)
def test_other_formats_give_the_same_grey(data: bytes):
    np.testing.assert_allclose(decoded(data), RAMP, atol=2)


def bmp_of_2_bits() -> bytes:
    file = io.BytesIO()
    Image.fromarray(RAMP).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[28] = 2
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bmp_of_2_bits(), "not supported: Unsupported BMP pixel depth"),
        (
            imagecodecs.jpeg8_encode(np.stack([DEEP] * 4, -1), level=98, bitspersample=12),
            "a JPEG of 4 components of more than 8 bits",
        ),
        (
            imagecodecs.jpeg2k_encode(np.stack([RAMP] * 5, -1), codecformat="JP2"),
            "5 components; grey or RGB are allowed",
        ),
        (
            packed_tiff(np.stack([DEEP] * 3, -1), 10, photometric=8),
            "a TIFF of 3 components of 10 bits, photometric interpretation 8",
        ),
    ],
)
def test_what_is_sound_but_not_read_is_said_to_be_so(data: bytes, reason: str):
    with pytest.raises(Unreadable, match=reason):
        decoded(data)
