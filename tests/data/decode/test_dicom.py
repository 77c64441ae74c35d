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
from pydicom import Dataset, config, dcmread, uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragments

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
    np.testing.assert_allclose(pixels, RAMP[: len(pixels)] * 255, atol=atol)


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
    signed_j2k = imagecodecs.jpeg2k_encode(signed, codecformat="J2K", bitspersample=12, level=0)
    j2k = functools.partial(pillow, kind="JPEG2000", no_jp2=True, irreversible=False)
    return {
        "JPEG": compressed(eight, 8, uid.JPEGBaseline8Bit, pillow(eight, "JPEG", quality=95)),
        "JPEG of 12 bits": compressed(twelve, 12, uid.JPEGExtended12Bit, jpeg12),
        "lossless JPEG": compressed(sixteen, 16, uid.JPEGLosslessSV1, lossless),
        "JPEG-LS": compressed(twelve, 12, uid.JPEGLSLossless, imagecodecs.jpegls_encode(twelve)),
        "signed JPEG-LS": compressed(signed, 12, uid.JPEGLSLossless, signed_frame),
        "JPEG 2000 of 8 bits": compressed(eight, 8, uid.JPEG2000Lossless, j2k(eight)),
        "JPEG 2000": compressed(sixteen, 16, uid.JPEG2000Lossless, j2k(sixteen)),
        "signed JPEG 2000": compressed(signed, 12, uid.JPEG2000Lossless, signed_j2k),
        "high-throughput": compressed(twelve, 12, uid.HTJ2K, imagecodecs.htj2k_encode(twelve)),
        "RLE": saved(rle),
    }


@pytest.mark.parametrize("name", list(compressed_files()))
def test_every_compression_shows_the_same(name: str):
    assert_ramp(dicom.decode(compressed_files()[name]), atol=6)


PADDED = ("JPEG", "JPEG of 12 bits", "lossless JPEG", "JPEG-LS", "JPEG 2000")


@pytest.mark.parametrize("end", [b"\xff", b"  ", b"\0\0", b"leftover\xff\xd8"])
@pytest.mark.parametrize("name", PADDED)
def test_bytes_may_follow_the_end_of_a_frame(name: str, end: bytes):
    plain = compressed_files()[name]
    dataset = dcmread(io.BytesIO(plain))
    dataset.PixelData = encapsulate([frame_of(plain).rstrip(b"\0") + end])
    np.testing.assert_array_equal(dicom.decode(saved(dataset)), dicom.decode(plain))


@pytest.mark.parametrize("name", ["JPEG", "lossless JPEG", "JPEG-LS"])
def test_fill_bytes_may_precede_a_marker_and_an_end_must_follow(name: str):
    plain = compressed_files()[name]
    dataset, frame = dcmread(io.BytesIO(plain)), frame_of(plain)
    if name != "JPEG-LS":  # which CharLS refuses
        dataset.PixelData = encapsulate([frame[:2] + b"\xff\xff" + frame[2:]])
        np.testing.assert_array_equal(dicom.decode(saved(dataset)), dicom.decode(plain))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2] + bytes(20)])
    with pytest.raises(Unreadable, match="without its end"):
        dicom.decode(saved(dataset))


def test_a_tile_that_goes_on_to_the_end_may_be_padded():
    frame = imagecodecs.jpeg2k_encode(ramp(12), codecformat="J2K", bitspersample=12, level=0)
    length = frame.index(b"\xff\x90") + 6
    frame = frame[:length] + bytes(4) + frame[length + 4 :] + b"\0"
    assert_ramp(dicom.decode(compressed(ramp(12), 12, uid.JPEG2000Lossless, frame)))


def test_colour_as_jpeg_2000_with_and_without_its_own_transform():
    colours = np.stack([ramp(8), ramp(8) // 2, ramp(8) // 4], -1)
    luma = np.asarray(Image.fromarray(colours).convert("L"))
    encode = functools.partial(imagecodecs.jpeg2k_encode, codecformat="J2K", level=0)
    for photometric, pixels, own in (
        ("YBR_RCT", colours, True),
        ("RGB", colours, False),
        ("YBR_FULL", np.asarray(Image.fromarray(colours).convert("YCbCr")), False),
    ):
        frame = encode(pixels, colorspace="SRGB", mct=own)
        data = compressed(
            colours, 8, uid.JPEG2000Lossless, frame, PhotometricInterpretation=photometric
        )
        np.testing.assert_allclose(dicom.decode(data), luma, atol=2)


def frame_of(data: bytes) -> bytes:
    _, *fragments = generate_fragments(dcmread(io.BytesIO(data)).PixelData)
    return b"".join(fragments)


@pytest.mark.parametrize("table", [[], [4], [0, 40], [0, 2**30]])
@pytest.mark.parametrize("name", ["JPEG", "JPEG-LS", "RLE"])
def test_the_fragments_of_one_frame_are_joined_whatever_the_offset_table(name: str, table: list):
    plain = compressed_files()[name]
    dataset, frame = dcmread(io.BytesIO(plain)), frame_of(plain)
    parts = [struct.pack(f"<{len(table)}L", *table), frame[:100], frame[100:]]
    items = (struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in parts)
    dataset.PixelData = b"".join(items) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    np.testing.assert_array_equal(dicom.decode(saved(dataset)), dicom.decode(plain))


@pytest.mark.parametrize("signed", [False, True])
def test_values_above_unused_bits_are_shifted_or_refused(signed: bool):
    values = ramp(12, signed)
    data = file_of(values << 4 | 5, 12, HighBit=15)  # old files keep overlays below
    np.testing.assert_array_equal(dicom.decode(data), dicom.decode(file_of(values)))
    for high, reason in ((15, "which no pixel reaches"), (10, "contradicts"), (16, "contradicts")):
        with pytest.raises(Unreadable, match=reason):
            dicom.decode(file_of(values, 12, HighBit=high))


@pytest.mark.parametrize(
    "attributes",
    [
        *({"Modality": modality} for modality in ("CR", "DX", "RG", "DR")),
        {"Modality": None},
        {"Modality": None, "SOPClassUID": uid.SecondaryCaptureImageStorage},
    ],
)
def test_radiographs_on_film_and_files_without_a_modality_are_taken(attributes: dict):
    assert_ramp(dicom.decode(file_of(ramp(12), **attributes)))


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


@pytest.mark.parametrize("syntax", NATIVE[1:3], ids=lambda syntax: syntax.name)
def test_a_modality_lut_without_a_window_does_not_wrap(syntax: uid.UID):
    """Its entries are unsigned: the few pixels below black would be white."""
    table = lut(np.arange(4096) + 100, 0, 16)
    if syntax == uid.ExplicitVRBigEndian:
        table.LUTData = np.frombuffer(table.LUTData, "<u2").astype(">u2").tobytes()
    stored = np.round(RAMP * 3000 + 500).astype(np.uint16)
    stored[0, :8] = 0
    pixels = dicom.decode(file_of(stored, syntax=syntax, ModalityLUTSequence=[table]))
    assert (pixels[0, :8] == 0).all()
    assert_ramp(pixels[1:])


def test_entries_of_eight_bits_may_lie_one_or_two_in_a_word():
    squared = np.rint((np.arange(4096) / 4095) ** 2 * 255)
    packed = lut(squared, 0, 8)
    packed.LUTData = squared.astype(np.uint8).tobytes()
    as_numbers = lut(squared, 0, 8)
    as_numbers.add_new("LUTData", "US", squared.astype(int).tolist())
    for table in (lut(squared, 0, 8), packed, as_numbers):
        data = file_of(ramp(12), VOILUTSequence=[table])
        np.testing.assert_allclose(dicom.decode(data), RAMP**2 * 255, atol=1)


def test_a_lut_of_rescaled_values_may_begin_below_zero():
    """Its first value is then signed, also where the file declares it unsigned."""
    table = lut(np.arange(4096), 2**16 - 1000, 12)
    data = file_of(ramp(12), VOILUTSequence=[table], RescaleSlope=1, RescaleIntercept=-1000)
    np.testing.assert_allclose(dicom.decode(data), RAMP * 255, atol=1)


def test_a_lut_of_fewer_entries_than_it_declares_is_refused():
    table = lut(np.arange(4096), 0, 12)
    table.LUTDescriptor = [5000, 0, 12]
    with pytest.raises(Unreadable, match="a LUT of 4096 entries, of which 5000 are declared"):
        dicom.decode(file_of(ramp(12), VOILUTSequence=[table]))


def test_an_exact_window_and_one_of_a_single_value():
    window = {"WindowCenter": 2048, "WindowWidth": 1024}
    data = file_of(ramp(12), **window, VOILUTFunction="LINEAR_EXACT")
    expected = np.clip((ramp(12) - 2048.0) / 1024 + 0.5, 0, 1) * 255  # PS3.3 C.11.2.1.3.2
    np.testing.assert_allclose(dicom.decode(data), expected, atol=1)
    data = file_of(ramp(12), WindowCenter=2048, WindowWidth=1)
    np.testing.assert_array_equal(dicom.decode(data), np.where(ramp(12) > 2047.5, 255, 0))


@pytest.mark.parametrize(
    "window",
    [
        {"VOILUTSequence": [Dataset()], "ModalityLUTSequence": [Dataset()]},
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": -9000, "WindowWidth": 100},
        {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "SQUARE"},
        {"WindowCenter": None, "WindowWidth": None},
    ],
)
def test_a_window_that_shows_nothing_is_not_used(window: dict):
    assert_ramp(dicom.decode(file_of(ramp(12), **window)))


def test_a_window_with_a_decimal_comma_is_not_used():
    data = file_of(ramp(12), WindowCenter="550.5", WindowWidth="900")
    assert b"550.5" in data
    assert_ramp(dicom.decode(data.replace(b"550.5", b"550,5")))


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
        ({"Modality": "CT"}, "modality CT; CR, DX, RG are allowed"),
        ({"Modality": "RF"}, "modality RF"),
        ({"Modality": None, "SOPClassUID": uid.CTImageStorage}, "modality CT"),
        ({"Modality": None, "SOPClassUID": "1.2\n\x1b[31m"}, r"modality 1\.2\[31M; "),
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
    for syntax, frame, reason in (
        (uid.JPEGBaseline8Bit, large, "4000x3000 compressed pixels under a header of 64x48"),
        (uid.RLELossless, bomb, "more RLE data than pixels"),
        (uid.MPEG2MPML, b"\0\0\1\xb3", "MPEG2"),  # which has no decoder
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


@pytest.mark.parametrize("kind", ["elements", "items"])
def test_header_of_very_many_parts_is_refused_soon(kind: str):
    """Deflated they are a few bytes, of which some minutes and gigabytes became."""
    data = file_of(ramp(12), syntax=uid.DeflatedExplicitVRLittleEndian)
    end = 144 + int.from_bytes(data[140:144], "little")
    elements = b"".join(
        struct.pack("<HH2sH", 0x0009 + 2 * (n >> 16), n & 0xFFFF, b"SH", 0) for n in range(2**16)
    )
    if kind == "items":  # of one sequence, empty ones
        start = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF)
        elements = start + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 2**16
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    hostile = data[:end] + packer.compress(elements) + packer.flush()
    began = time.process_time()
    for read in (dicom.header, dicom.decode):
        with pytest.raises(Unreadable, match=f"more than 20,000 (DICOM )?{kind}"):
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
