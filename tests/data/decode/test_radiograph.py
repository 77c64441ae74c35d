"""Any image file becomes grey pixels, or a reason why not."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from pydicom import Dataset, uid
from pydicom.dataset import FileMetaDataset

from trainer.data.decode import radiograph, recode, stored
from trainer.data.decode.radiograph import Unreadable

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
QUANTISATION = b"\xff\xdb"  # begins a table


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
def test_prepared_pixels_are_kept_without_loss(mode: str, kind: str):
    data = file_of(Image.fromarray(RAMP).convert(mode), kind)
    for max_side, shape in ((32, (24, 32, 1)), (512, (48, 64, 1))):
        prepared = recode.recode(data, max_side)
        np.testing.assert_array_equal(decoded(prepared), decoded(data, max_side))
        np.testing.assert_array_equal(stored.decode(prepared), decoded(prepared)[..., 0])
        assert decoded(prepared).shape == shape


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_small_jpeg_without_colour_stays_as_it_is(mode: str):
    data = file_of(Image.fromarray(RAMP).convert(mode), "JPEG", dpi=(72, 72))
    assert recode.recode(data, 512) == data
    np.testing.assert_array_equal(stored.decode(data), decoded(data)[..., 0])


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 30}]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "red"])
def test_pixels_of_a_jpeg_are_those_of_pillow(mode: str, options: dict):
    grey = Image.fromarray(smooth(91, 123))
    image = Image.merge("RGB", (grey, grey.rotate(180), grey)) if mode == "red" else grey
    data = file_of(image if mode == "red" else image.convert(mode), "JPEG", **options)
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("L", None)
        expected = np.asarray(opened)
    np.testing.assert_array_equal(decoded(data)[..., 0], expected)
    np.testing.assert_array_equal(stored.decode(recode.recode(data, 512)), expected)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_one_pixel_in_colour_is_found(mode: str):
    image = Image.fromarray(RAMP).convert("RGB")
    if mode == "RGB":
        image.putpixel((63, 47), (255, 0, 0))
    data = file_of(image, "JPEG", quality=95, subsampling=0)
    assert (recode.recode(data, 512) == data) == (mode == "L")


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_stored_image_shrinks_as_its_file_does(kind: str, uniform: bool):
    data = file_of(Image.fromarray(smooth(900, 1230)), kind)
    for max_side in (512, 2000):
        image = recode.recoded(data, max_side, uniform=uniform)
        np.testing.assert_array_equal(image.shrunk(128), decoded(image.file, 128))


@pytest.mark.parametrize("keep_rgb", [False, True])
def test_a_jpeg_in_colour_is_stored_as_grey_pixels(keep_rgb: bool):
    red = np.stack([RAMP, RAMP // 2, RAMP // 3], -1)
    data = file_of(Image.fromarray(red), "JPEG", quality=95, keep_rgb=keep_rgb)
    prepared = recode.recode(data, 512)
    assert Image.open(io.BytesIO(prepared)).mode == "L"
    np.testing.assert_array_equal(stored.decode(prepared), decoded(data)[..., 0])


def test_everything_but_the_pixels_is_dropped():
    exif = Image.Exif()
    exif[0x010E] = "Jane Doe"
    files = [
        file_of(Image.fromarray(RAMP), "JPEG", exif=exif),
        file_of(Image.fromarray(RAMP), "JPEG", comment=b"Jane Doe"),
        file_of(Image.fromarray(RAMP), "JPEG") + b"Jane Doe",
        *(
            file_of(Image.fromarray(RAMP).convert(mode), "JPEG").replace(
                QUANTISATION, b"Jane Doe" + QUANTISATION
            )
            for mode in ("L", "RGB")
        ),
    ]
    for data in files:
        prepared = recode.recode(data, 512)
        assert b"Jane Doe" in data and b"Jane Doe" not in prepared
        np.testing.assert_array_equal(stored.decode(prepared), decoded(data)[..., 0])


def test_the_orientation_is_applied_once_where_it_can_be_read():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    pixels = decoded(file_of(Image.fromarray(RAMP), "JPEG", exif=exif, quality=95))
    np.testing.assert_allclose(pixels[..., 0], np.rot90(RAMP, -1), atol=4)
    tiff = file_of(Image.fromarray(RAMP), "TIFF", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(decoded(tiff)[..., 0], np.rot90(RAMP, -1))
    image = Image.fromarray(smooth(900, 1230))  # of which a JPEG is decoded reduced
    upright = decoded(file_of(image, "JPEG"), 96)
    turned = decoded(file_of(image, "JPEG", exif=exif), 96)
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))
    damaged = b"Exif\0\0MM\0\x2a\xff\xff\xff\xff"
    plain = file_of(Image.fromarray(RAMP), "JPEG", quality=95)
    unreadable = file_of(Image.fromarray(RAMP), "JPEG", quality=95, exif=damaged)
    np.testing.assert_array_equal(decoded(unreadable), decoded(plain))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_stored_bits_are_read_by_the_bits_in_use(bits: int, kind: str):
    values = np.round(RAMP / 255 * (2**bits - 1)).astype(np.uint16)
    pixels = decoded(file_of(Image.fromarray(values), kind))
    np.testing.assert_allclose(pixels[..., 0], RAMP, atol=1)


@pytest.mark.parametrize(("order", "white_is_zero"), [("<", False), (">", False), ("<", True)])
def test_tiff_of_sixteen_bits_in_either_byte_order_and_polarity(order: str, white_is_zero: bool):
    values = RAMP.astype(f"{order}u2") * 257
    data = tiff_of(65535 - values if white_is_zero else values, order, 0 if white_is_zero else 1)
    np.testing.assert_array_equal(decoded(data)[..., 0], RAMP)


def tiff_of(values: np.ndarray, order: str, photometric: int) -> bytes:
    """A TIFF of one uncompressed strip."""
    height, width = values.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: photometric, 277: 1, 278: height}
    tags |= {273: 8 + 2 + 12 * 9 + 4, 279: values.nbytes}
    entries = [struct.pack(f"{order}HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags)]
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    return (
        start
        + struct.pack(f"{order}H", len(tags))
        + b"".join(entries)
        + bytes(4)
        + values.astype(f"{order}u2").tobytes()
    )


def test_transparent_pixels_lie_over_black():
    image = Image.new("RGBA", (64, 48), (200, 200, 200, 255))
    image.paste((200, 200, 200, 0), (0, 0, 32, 48))
    for kind in ("PNG", "WEBP", "TIFF"):
        pixels = decoded(file_of(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
        assert (pixels[:, :32] == 0).all() and (pixels[:, 32:] == 200).all(), kind
    image = Image.fromarray((RAMP > 127).astype(np.uint8), "P")
    image.putpalette([200, 200, 200, 90, 90, 90])
    pixels = decoded(file_of(image, "PNG", transparency=0))
    np.testing.assert_array_equal(pixels[..., 0], np.where(RAMP > 127, 90, 0))


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_not_inverted(kind: str):
    cmyk = Image.fromarray(RAMP).convert("RGB").convert("CMYK")
    np.testing.assert_allclose(decoded(file_of(cmyk, kind, quality=95))[..., 0], RAMP, atol=4)


def test_one_bit_becomes_black_and_white():
    pixels = decoded(file_of(Image.fromarray(RAMP > 127)))
    np.testing.assert_array_equal(pixels[..., 0], np.where(RAMP > 127, 255, 0))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_a_file_of_several_images_is_refused(kind: str):
    pages = [Image.fromarray(RAMP), Image.fromarray(RAMP[:, ::-1].copy())]
    with pytest.raises(Unreadable, match=f"several images in one {kind}"):
        decoded(file_of(pages[0], kind, save_all=True, append_images=pages[1:]))


@pytest.mark.parametrize(("mode", "shape"), [("L", (769, 1153)), ("RGB", (1202, 1537))])
@pytest.mark.parametrize("kind", ["smooth", "noisy", "white noise", "checkerboard"])
def test_a_reduced_jpeg_is_within_two_levels_of_a_full_one(mode: str, shape: tuple, kind: str):
    rng = np.random.default_rng(0)
    y, x = np.indices(shape)
    pixels = {
        "smooth": smooth(*shape),
        "noisy": np.clip(smooth(*shape) + rng.normal(0, 20, shape), 0, 255),
        "white noise": rng.integers(0, 256, shape),
        "checkerboard": (x // 37 + y // 29) % 2 * 255,
    }[kind].astype(np.uint8)
    data = file_of(Image.fromarray(pixels).convert(mode), "JPEG", quality=95)
    for max_side in (96, 128, 192, 256):
        assert difference_from_full_decoding(data, max_side) <= 2


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.indices((height, width))
    return (128 + 100 * np.sin(x / 90) * np.cos(y / 70)).astype(np.uint8)


def difference_from_full_decoding(data: bytes, max_side: int) -> float:
    """Mean absolute difference, grey levels."""
    pixels = decoded(data, max_side)[..., 0].astype(int)
    full = Image.open(io.BytesIO(data)).convert("L")
    size = pixels.shape[::-1]
    return np.abs(pixels - np.asarray(full.resize(size, Image.Resampling.LANCZOS))).mean()


def test_reduced_decoding_is_used_and_only_with_its_margin(monkeypatch: pytest.MonkeyPatch):
    data = file_of(Image.fromarray(smooth(500, 600)), "JPEG")
    asked = []
    draft = JpegImageFile.draft
    monkeypatch.setattr(JpegImageFile, "draft", lambda *args: asked.append(args[2]) or draft(*args))
    for max_side in (50, 100, 101):
        decoded(data, max_side)
    assert asked == [(150, 125), (300, 250), None]


@pytest.mark.slow
def test_reduced_decoding_of_real_radiographs(shared_data: Path):
    with zipfile.ZipFile(shared_data / "chest_xray_originals.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpeg")]
        assert len(names) == 160
        for name in names:
            data = archive.read(name)
            for max_side in (128, 224):
                assert difference_from_full_decoding(data, max_side) <= 1, name


def test_uniform_files_hide_how_the_image_was_encoded():
    image = Image.fromarray(smooth(600, 800))
    files = [file_of(image, "PNG"), file_of(image, "JPEG", quality=98), file_of(image, "TIFF")]
    files.append(file_of(image.convert("RGB"), "JPEG", quality=75))
    files.append(file_of(image.resize((160, 120)), "PNG"))
    recoded = [recode.recode(file, 256, uniform=True) for file in files]
    opened = [Image.open(io.BytesIO(file)) for file in recoded]
    assert {(i.format, i.mode, i.size, str(i.quantization)) for i in opened} == {
        ("JPEG", "L", (256, 192), str(opened[0].quantization))
    }
    for file in recoded:
        np.testing.assert_allclose(decoded(file), decoded(recoded[0]), atol=8)


def test_uniform_files_hide_a_coarse_quantiser():
    """The finest detail of one image, by a fine encoder and by a coarse one at a smaller size."""
    noise = np.random.default_rng(0).normal(0, 2, (800, 1000))
    image = Image.fromarray(np.clip(smooth(800, 1000) + noise, 0, 255).astype(np.uint8))
    fine = file_of(image, "JPEG", quality=95)
    coarse = file_of(image.resize((700, 560)), "JPEG", quality=75)

    def ratio(uniform: bool) -> float:
        return np.divide(
            *(finest_detail(recode.recode(d, 300, uniform=uniform)) for d in (fine, coarse))
        )

    assert ratio(uniform=False) > 1.4
    assert ratio(uniform=True) == pytest.approx(1, abs=0.05)


def finest_detail(data: bytes) -> float:
    """Mean amplitude of the upper third of the frequencies."""
    pixels = decoded(data)[..., 0].astype(float)
    window = np.hanning(pixels.shape[0])[:, None] * np.hanning(pixels.shape[1])
    spectrum = np.abs(np.fft.rfft2((pixels - pixels.mean()) * window))
    height, width = spectrum.shape
    return spectrum[height // 3 : height // 2, width * 2 // 3 :].mean()


def test_a_dicom_file_is_recognised_by_its_content():
    data = dicom_of(RAMP)
    np.testing.assert_allclose(decoded(data)[..., 0], RAMP, atol=3)
    assert decoded(data, 32).shape == (24, 32, 1)
    lateral = dicom_of(RAMP, ViewPosition="LL")
    with pytest.raises(Unreadable, match="lateral"):
        decoded(lateral)
    assert radiograph.decode(lateral, 512, any_view=True).shape == (48, 64, 1)


def dicom_of(pixels: np.ndarray, **attributes: str) -> bytes:
    dataset = Dataset()
    dataset.Modality = "DX"
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=["one"])
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.set_pixel_data(pixels, "MONOCHROME2", bits_stored=8, generate_instance_uid=False)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


# What each of the developers' unusual files becomes: (height, width), or a part of the reason.
ODD = {
    "exif-orientation/Landscape_1.jpg": (341, 512),
    "exif-orientation/Landscape_3.jpg": (341, 512),
    "exif-orientation/Landscape_6.jpg": (341, 512),
    "exif-orientation/Landscape_8.jpg": (341, 512),
    "libjpeg-turbo/monkey12.jpg": (227, 149),
    "libjpeg-turbo/testimgint.jpg": (149, 227),
    "pillow/broken_data_stream.png": "damaged",
    "pillow/broken_exif_dpi.jpg": (100, 100),
    "pillow/exif-ifd-offset.jpg": (200, 200),
    "pillow/hopper_bad_exif.jpg": (500, 500),
    "pillow/hopper_orientation_6.jpg": (128, 128),
    "pillow/icc-after-SOF.jpg": "10x10 pixels",
    "pillow/invalid-exif.jpg": (200, 200),
    "pillow/mode_16bit.png": "several images",
    "pillow/multiple_exif.jpg": "1x1 pixels",
    "pillow/pil_sample_cmyk.jpg": (100, 100),
    "pillow/pil_sample_rgb.jpg": (100, 100),
    "synthetic-from-kermany/all_black.jpeg": (400, 512),
    "synthetic-from-kermany/bilevel_1bit.png": (340, 512),
    "synthetic-from-kermany/cmyk.jpeg": (340, 512),
    "synthetic-from-kermany/exif_orientation_6.jpeg": (512, 340),
    "synthetic-from-kermany/gif_named_jpeg.jpeg": (140, 200),
    "synthetic-from-kermany/gray16_full_range.png": (340, 512),
    "synthetic-from-kermany/inverted_monochrome1_like.jpeg": (340, 512),
    "synthetic-from-kermany/la.png": (340, 512),
    "synthetic-from-kermany/palette.png": (340, 512),
    "synthetic-from-kermany/png_named_jpeg.jpeg": (340, 512),
    "synthetic-from-kermany/webp_named_jpeg.jpeg": (340, 512),
    "synthetic-from-kermany/wide_2000x20.jpeg": "times the shorter",
    "tensorflow/jpeg_merge_test1.jpg": (256, 128),
}


def test_odd_real_files_become_what_they_show_or_say_why(shared_data: Path):
    folder = shared_data / "odd_images"
    assert sorted(ODD) == sorted(str(f.relative_to(folder)) for f in folder.glob("*/*"))
    for name, expected in ODD.items():
        data = (folder / name).read_bytes()
        if isinstance(expected, str):
            with pytest.raises(Unreadable, match=expected):
                decoded(data)
        else:
            assert decoded(data).shape == (*expected, 1), name


def test_the_same_radiograph_in_odd_formats_is_the_same(shared_data: Path):
    folder = shared_data / "odd_images" / "synthetic-from-kermany"
    plain = decoded((folder / "png_named_jpeg.jpeg").read_bytes()).astype(int)
    for name in ("cmyk.jpeg", "gray16_full_range.png", "la.png", "palette.png"):
        assert np.abs(decoded((folder / name).read_bytes()) - plain).mean() < 2, name
    turned = decoded((folder / "exif_orientation_6.jpeg").read_bytes())
    assert np.abs(np.rot90(turned) - plain).mean() < 2
    inverted = decoded((folder / "inverted_monochrome1_like.jpeg").read_bytes())
    assert np.abs(255 - inverted - plain).mean() < 2
