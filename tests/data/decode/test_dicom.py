"""DICOM radiographs become what a viewer shows, or a reason why not."""

import functools
import io
import random
import struct
import time
import warnings
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, config, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate

from trainer.data.decode import dicom, limits
from trainer.data.decode.limits import Unreadable

SIDE = 64
RAMP = np.tile(np.linspace(0, 1, SIDE), (48, 1))
NATIVE = [
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
]


BROKEN_SLOPES = (0, "nan", "inf", "1e-300")


def ramp(bits: int, signed: bool = False) -> np.ndarray:
    """[48, 64] from the least to the greatest value."""
    values = np.round(RAMP * (2**bits - 1)).astype(np.int64) - (2 ** (bits - 1) if signed else 0)
    kind = "i" if signed else "u"
    return values.astype(f"{kind}{1 if bits <= 8 else 2}")


def dataset_of(pixels: np.ndarray, bits: int, syntax: uid.UID, **attributes) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2"
    dataset.Modality, dataset.PatientID, dataset.PatientName = "DX", "P1", "Doe^Jane"
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored = 8 * pixels.itemsize, bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(pixels.dtype.kind == "i")
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    dataset["PixelData"].VR = "OW" if pixels.itemsize == 2 else "OB"
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def saved(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def file_of(
    pixels: np.ndarray, bits: int = 12, syntax: uid.UID = uid.ExplicitVRLittleEndian, **attributes
) -> bytes:
    return saved(dataset_of(pixels, bits, syntax, **attributes))


def compressed(pixels: np.ndarray, bits: int, syntax: uid.UID, frame: bytes, **attributes) -> bytes:
    dataset = dataset_of(pixels, bits, syntax, **attributes)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    return saved(dataset)


def pillow(pixels: np.ndarray, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def lut(values: np.ndarray, first: int, bits: int) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item.add_new("LUTData", "OW", np.asarray(values, "<u2").tobytes())
    return item


def assert_ramp(pixels: np.ndarray, atol: float = 3):
    """0.5 % black and white leave a ramp a ramp within two levels."""
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, RAMP * 255, atol=atol)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
def test_every_encoding_and_depth_shows_the_same(syntax: uid.UID):
    for bits in (8, 10, 12, 16):
        for signed in (False, True):
            assert_ramp(dicom.decode(file_of(ramp(bits, signed), bits, syntax)))
    assert_ramp(dicom.decode(file_of(ramp(12) | 0xF000, 12)))  # bits that are not stored


def compressed_files() -> dict[str, bytes]:
    eight, twelve, sixteen = ramp(8), ramp(12), ramp(16)
    rle = dataset_of(twelve, 12, uid.ExplicitVRLittleEndian)
    rle.compress(uid.RLELossless, encoding_plugin="pydicom")
    jpeg12 = imagecodecs.jpeg8_encode(twelve, level=98, bitspersample=12)
    lossless = imagecodecs.jpeg8_encode(sixteen, lossless=True, bitspersample=16)
    signed = ramp(12, signed=True)
    signed_frame = imagecodecs.jpegls_encode(signed.view(np.uint16) & 0x0FFF)
    j2k = functools.partial(pillow, kind="JPEG2000", no_jp2=True, irreversible=False)
    return {
        "JPEG": compressed(eight, 8, uid.JPEGBaseline8Bit, pillow(eight, "JPEG", quality=95)),
        "JPEG of 12 bits": compressed(twelve, 12, uid.JPEGExtended12Bit, jpeg12),
        "lossless JPEG": compressed(sixteen, 16, uid.JPEGLosslessSV1, lossless),
        "JPEG-LS": compressed(twelve, 12, uid.JPEGLSLossless, imagecodecs.jpegls_encode(twelve)),
        "signed JPEG-LS": compressed(signed, 12, uid.JPEGLSLossless, signed_frame),
        "JPEG 2000 of 8 bits": compressed(eight, 8, uid.JPEG2000Lossless, j2k(eight)),
        "JPEG 2000": compressed(sixteen, 16, uid.JPEG2000Lossless, j2k(sixteen)),
        "RLE": saved(rle),
    }


@pytest.mark.parametrize("name", list(compressed_files()))
def test_every_compression_shows_the_same(name: str):
    assert_ramp(dicom.decode(compressed_files()[name]), atol=6)


def test_monochrome1_and_the_inverse_shape_are_inverted_once():
    plain = dicom.decode(file_of(ramp(12)))
    for attributes in (
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ):
        np.testing.assert_array_equal(dicom.decode(file_of(ramp(12), **attributes)), 255 - plain)


def test_the_first_window_decides_black_and_white_linear_or_sigmoid():
    data = file_of(ramp(12), WindowCenter=[1024, 9], WindowWidth=[2048, 1])
    expected = np.clip((ramp(12) - 1023.5) / 2047 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.2.1
    np.testing.assert_allclose(dicom.decode(data), expected, atol=1)
    data = file_of(ramp(12), WindowCenter=2048, WindowWidth=1024, VOILUTFunction="SIGMOID")
    expected = 255 / (1 + np.exp(-4 * (ramp(12) - 2048.0) / 1024))  # PS3.3 C.11.2.1.3.1
    np.testing.assert_allclose(dicom.decode(data), expected, atol=1)


@pytest.mark.parametrize("slope", [2, -2])
def test_the_window_is_in_rescaled_values(slope: int):
    data = file_of(
        ramp(12), RescaleSlope=slope, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=4000
    )
    rescaled = ramp(12).astype(float) * slope - 1000
    expected = np.clip((rescaled + 0.5) / 3999 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(dicom.decode(data), expected, atol=1)


def test_a_modality_lut_and_a_voi_lut():
    halved = lut(np.arange(4096) // 2, 0, 16)
    squared = lut((np.arange(2048) / 2047) ** 2 * 4095, 0, 12)
    data = file_of(ramp(12), ModalityLUTSequence=[halved], VOILUTSequence=[squared])
    np.testing.assert_allclose(dicom.decode(data), RAMP**2 * 255, atol=1)


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": -9000, "WindowWidth": 100},
        {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "SQUARE"},
        {"WindowCenter": None, "WindowWidth": None},
    ],
)
def test_a_window_that_shows_nothing_is_not_used(window: dict):
    assert_ramp(dicom.decode(file_of(ramp(12), **window)))


def test_few_extreme_pixels_do_not_darken_the_rest():
    stored = np.round(RAMP * 1000).astype(np.uint16) + 1000
    stored[0, :8], stored[1, :8] = 65535, 0
    pixels = dicom.decode(file_of(stored, 16))
    np.testing.assert_allclose(pixels[2:], (RAMP * 255)[2:], atol=3)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_has_no_part_in_the_window(photometric: str):
    plain = file_of(ramp(12), PhotometricInterpretation=photometric)
    stored = np.pad(ramp(12), 16, constant_values=60000)
    stored[0] = 60010
    padding = {"PixelPaddingValue": 60000, "PixelPaddingRangeLimit": 60010}
    data = file_of(stored, 16, PhotometricInterpretation=photometric, **padding)
    pixels = dicom.decode(data)
    np.testing.assert_array_equal(pixels[16:-16, 16:-16], dicom.decode(plain))
    assert (pixels[:16] == 0).all() and (pixels[:, -16:] == 0).all()


def test_an_image_of_one_shade_is_black_and_nothing_but_padding_is_refused():
    flat = np.full((48, 64), 7, np.uint16)
    assert (dicom.decode(file_of(flat)) == 0).all()
    with pytest.raises(Unreadable, match="padding"):
        dicom.decode(file_of(flat, PixelPaddingValue=7))


def test_colour_becomes_luma():
    colours = np.zeros((48, 64, 3), np.uint8)
    colours[..., 0] = 200
    assert (dicom.decode(file_of(colours, 8)) == 60).all()  # 0.299 * 200
    ybr = np.stack([ramp(8), *2 * [np.full((48, 64), 128, np.uint8)]], axis=-1)
    pixels = dicom.decode(file_of(ybr, 8, PhotometricInterpretation="YBR_FULL"))
    np.testing.assert_allclose(pixels, ramp(8), atol=1)
    frame = pillow(ybr[..., :1].repeat(3, 2), "JPEG", quality=95)
    jpeg = compressed(ybr, 8, uid.JPEGBaseline8Bit, frame, PhotometricInterpretation="YBR_FULL_422")
    np.testing.assert_allclose(dicom.decode(jpeg), ramp(8), atol=3)


def test_a_header_holds_what_a_source_needs():
    data = file_of(ramp(12), ViewPosition="PA", NumberOfFrames=1)
    assert dicom.header(data) == dicom.Header(
        "P1", "1.2", "DX", "PA", "MONOCHROME2", frames=1, rows=48, columns=64
    )
    pixels = data.index(b"\xe0\x7f\x10\x00")
    assert dicom.header(data[:pixels]) == dicom.header(data)


@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda syntax: syntax.name)
def test_files_without_preamble_or_meta_header_are_read(syntax: uid.UID):
    data = file_of(ramp(12), syntax=syntax)
    for start in (132, data.find(b"\x08\x00\x16\x00")):  # the latter is big endian in one
        if start > 0:
            bare = data[start:]
            assert dicom.is_dicom(bare) and dicom.header(bare) == dicom.header(data)
            np.testing.assert_array_equal(dicom.decode(bare), dicom.decode(data))


def test_other_files_are_not_dicom():
    others = [b"", b"text", b"version https://git-lfs.github.com/spec/v1", bytes(200)]
    others += [pillow(ramp(8), kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")]
    assert not any(dicom.is_dicom(data) for data in others)


def coded(meaning: str) -> list[Dataset]:
    code = Dataset()
    code.CodeMeaning = meaning
    return [code]


@pytest.mark.parametrize(
    ("attributes", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "AP"}, "AP"),
        ({"ViewPosition": "LL"}, "LATERAL"),
        ({"ViewPosition": "RL"}, "LATERAL"),
        ({"ViewPosition": "LATERAL"}, "LATERAL"),
        ({"ViewPosition": "LLD"}, "DECUBITUS"),
        ({"ViewPosition": "RLO"}, "OBLIQUE"),
        ({"ViewPosition": "AXIAL"}, "AXIAL"),
        ({"ViewPosition": "", "SeriesDescription": "view: PA"}, "PA"),
        ({"SeriesDescription": "CHEST LAT"}, "LATERAL"),
        ({"SeriesDescription": "Thorax left lateral decubitus"}, "DECUBITUS"),
        ({"SeriesDescription": "Chest PA and lateral"}, ""),
        ({"ViewCodeSequence": coded("postero-anterior")}, "PA"),
        ({"ViewCodeSequence": coded("antero-posterior")}, "AP"),
        ({"ViewCodeSequence": coded("left lateral")}, "LATERAL"),
        ({"PatientPosition": "AP"}, "AP"),
        ({}, ""),
    ],
)
def test_views(attributes: dict, view: str):
    header = dicom.header(file_of(ramp(12), **attributes))
    assert header.view == view
    frontal = view not in ("LATERAL", "DECUBITUS", "OBLIQUE")
    assert (dicom.refusal(header) == "") == frontal
    assert dicom.refusal(header, any_view=True) == ""


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Modality": "CT"}, "modality CT; CR, DX, DR are allowed"),
        ({"Modality": "RF"}, "modality RF"),
        ({"Modality": None}, "modality not given"),
        ({"NumberOfFrames": 2, "PixelData": 2 * ramp(12).tobytes()}, "2 frames"),
        ({"ViewPosition": "LL"}, "lateral view"),
        ({"Rows": 4}, "64x4 pixels"),
        ({"Rows": 60000, "Columns": 60000}, "million pixels"),
        ({"Rows": 49}, "damaged"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 bits"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
        *(({"RescaleSlope": slope, "RescaleIntercept": 0}, "rescale") for slope in BROKEN_SLOPES),
    ],
)
def test_what_is_no_radiograph_is_refused(attributes: dict, reason: str):
    with pytest.raises(Unreadable, match=reason):
        dicom.decode(file_of(ramp(12), **attributes))


def test_hostile_frames_are_refused():
    large = pillow(np.zeros((3000, 4000), np.uint8), "JPEG")
    bomb = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\0" * 1000
    other = b"\xff\x4f\xff\x51" + bytes(60)
    for syntax, frame, reason in (
        (uid.JPEGBaseline8Bit, large, "4000x3000 compressed pixels under a header of 64x48"),
        (uid.RLELossless, bomb, "more RLE data than pixels"),
        (uid.HTJ2KLossless, other, "High-Throughput"),  # which has no decoder
    ):
        with pytest.raises(Unreadable, match=reason):
            dicom.decode(compressed(ramp(8), 8, syntax, frame))


@pytest.mark.parametrize("preamble", [0, 132])
def test_a_deflated_bomb_is_refused(preamble: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicom, "MOST_INFLATED", 2**20)
    data = file_of(ramp(12), syntax=uid.DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(data[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(bytes(2**24)) + packer.flush()
    with pytest.raises(Unreadable, match="inflates to more than"):
        dicom.decode(data[132 - preamble : end] + bomb)


def test_header_of_very_many_elements_is_refused_soon():
    """Deflated they are a few bytes, of which some minutes and gigabytes became."""
    data = file_of(ramp(12), syntax=uid.DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(data[140:144], "little")
    elements = b"".join(
        struct.pack("<HH2sH", 0x0009 + 2 * (n >> 16), n & 0xFFFF, b"SH", 0) for n in range(2**16)
    )
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    hostile = data[:end] + packer.compress(elements) + packer.flush()
    began = time.process_time()
    for read in (dicom.header, dicom.decode):
        with pytest.raises(Unreadable, match="DICOM elements"):
            read(hostile)
    assert time.process_time() - began < 5


def test_damaged_files_give_an_array_or_a_reason():
    rng = random.Random(0)
    kept = refused = 0
    for data in [file_of(ramp(12)), *compressed_files().values()]:
        for _ in range(40):
            damaged = bytearray(data)
            for _ in range(rng.choice((1, 2, 8))):
                damaged[rng.randrange(128, len(data))] = rng.randrange(256)
            if rng.random() < 0.3:
                del damaged[rng.randrange(132, len(data)) :]
            try:
                pixels = dicom.decode(bytes(damaged))
            except Unreadable as reason:
                refused += 1
                assert 0 < len(str(reason)) <= limits.LONGEST_REASON and "\n" not in str(reason)
            else:
                kept += 1
                assert pixels.ndim == 2 and pixels.dtype == np.uint8
    assert kept > 50 and refused > 50


def test_odd_values_give_no_warning(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
):
    data = file_of(ramp(12), PatientID="P" * 80, StudyInstanceUID="1.no.uid")
    recwarn.clear()
    caplog.clear()
    dicom.decode(data)
    assert not recwarn.list and not caplog.records


def test_real_files(shared_data: Path):
    folder = shared_data / "dicom"
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(files) == 6
    with pytest.raises(Unreadable, match="modality CT"):
        dicom.decode(files.pop("nih_udacity_test5.dcm"))
    for data in files.values():
        assert dicom.decode(data).shape == (1024, 1024)
    inverse = dicom.decode(files.pop("rsna_Fake_MONOCHROME1.dcm"))
    (rsna,) = (name for name in files if name.startswith("rsna"))
    np.testing.assert_array_equal(inverse, 255 - dicom.decode(files[rsna]))
    assert dicom.header(files[rsna]).view == "PA"
