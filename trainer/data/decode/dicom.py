"""DICOM radiographs: the header, and the pixels as a viewer shows them."""

import io
import logging
import re
import struct
import zlib
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset, FileDataset, uid
from pydicom.encaps import get_frame
from pydicom.filereader import read_partial
from pydicom.pixels import pixel_array
from pydicom.valuerep import VR

from trainer.data.decode import codestream, window
from trainer.data.decode.limits import MOST_PIXELS, Unreadable, check_size, reading

MODALITIES = ("CR", "DX", "DR")
LONGEST_CODE = 16  # of DICOM's code strings
MOST_BITS = 16
# 16 bits of grey or 24 of colour for the most pixels allowed, and a header.
MOST_INFLATED = 3 * MOST_PIXELS + 2**20
MOST_HEADER = 2**23  # bytes of a deflated file in which its pixels begin: overlays take 1 MiB
MOST_ELEMENTS = 20_000
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # tags of the elements that hold them

# Words for each view, the more specific views first: "left lateral decubitus" is no lateral.
VIEWS = {
    "DECUBITUS": {"DECUBITUS", "DECUB", "LLD", "RLD"},
    "OBLIQUE": {"OBLIQUE", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO"},
    "LATERAL": {"LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT"},
    "PA": {"PA", "POSTEROANTERIOR"},
    "AP": {"AP", "ANTEROPOSTERIOR"},
}
FRONTAL = ("PA", "AP")

# pydicom's own plugins, by name, or a function of one frame. GDCM, which pydicom would take where
# it is installed, crashes on damaged files.
DECODERS: dict[uid.UID, Any] = {
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEG2000Lossless: "pillow",
    uid.JPEG2000: "pillow",
    uid.JPEGExtended12Bit: codestream.decode_jpeg,
    uid.JPEGLossless: codestream.decode_jpeg,
    uid.JPEGLosslessSV1: codestream.decode_jpeg,
    uid.JPEGLSLossless: codestream.decode_jpeg_ls,
    uid.JPEGLSNearLossless: codestream.decode_jpeg_ls,
}
RLE_HEADER = 64

PREAMBLE = 132  # bytes, with the letters DICM
GROUP_LENGTH = b"\x02\0\0\0"  # (0002,0000), which the meta header starts with
DEFLATED = b"1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1".ljust(len(DEFLATED), b"\0")


# It logs its warnings, a line for each odd value of each file.
logging.getLogger("pydicom").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Header:
    """What a source needs of a file before its pixels; "" where the file does not have it.

    Attributes:
      view: a key of `VIEWS`, or the file's own word for another view.
    """

    patient_id: str
    sop_uid: str
    modality: str
    view: str
    photometric: str
    frames: int
    rows: int
    columns: int


def is_dicom(data: bytes) -> bool:
    """Returns whether a file is DICOM by its first bytes, with or without the 128 byte preamble.

    Without, it must start with an element of group 0002 or 0008, as such files in practice do.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 16:
        return False
    for order in "<>":
        group, element, vr = struct.unpack(f"{order}HH2s", data[:6])
        if group in (0x0002, 0x0008) and element <= 0x0100:
            if vr.decode("latin-1") in VR.__members__:
                return True
            if order == "<" and struct.unpack("<I", data[4:8])[0] <= 64:  # an implicit VR
                return True
    return False


def header(data: bytes) -> Header:
    """Reads the header without the pixels; the first bytes of a file do, if they hold all of it.

    Raises:
      Unreadable: if the file is damaged.
    """
    with reading():
        return _header(_dataset(data, stop_before_pixels=True))


def refusal(header: Header, any_view: bool = False) -> str:
    """Returns why a file is no radiograph of one frontal view, or "".

    Args:
      header: of that file.
      any_view: takes lateral, oblique and decubitus views too.
    """
    if header.modality not in MODALITIES:
        found = header.modality[:LONGEST_CODE] or "not given"
        return f"modality {found}; {', '.join(MODALITIES)} are allowed"
    if header.frames > 1:
        return f"{header.frames} frames; one is allowed"
    if header.view in VIEWS and header.view not in FRONTAL and not any_view:
        return f"{header.view.lower()} view; frontal views (PA, AP) are allowed"
    return ""


def decode(data: bytes, any_view: bool = False) -> np.ndarray:
    """Decodes the pixels as a viewer shows them.

    Grey goes through the file's LUTs and its window, see `window.shades`; colour becomes luma
    (ITU-R 601).

    Args:
      data: the file's bytes.
      any_view: takes lateral, oblique and decubitus views too.

    Returns:
      Grey values, [H, W] uint8.

    Raises:
      Unreadable: with the reason, that of `refusal` where the header has one.
    """
    with reading():
        dataset = _dataset(data)
        known = _header(dataset)
        if reason := refusal(known, any_view):
            raise Unreadable(reason)
        check_size(known.columns, known.rows)
        stored = _stored(dataset)
        if known.photometric in ("MONOCHROME1", "MONOCHROME2"):
            return window.shades(stored, dataset)
        return np.asarray(Image.fromarray(stored).convert("L"))


def _dataset(data: bytes, stop_before_pixels: bool = False) -> FileDataset:
    elements = count()

    def stop_when(tag: int, vr: str | None, length: int) -> bool:
        if next(elements) > MOST_ELEMENTS:
            raise Unreadable(f"damaged: more than {MOST_ELEMENTS:,} DICOM elements")
        return stop_before_pixels and tag in PIXELS

    most = MOST_HEADER if stop_before_pixels else MOST_INFLATED
    dataset = read_partial(io.BytesIO(_inflated(data, most)), stop_when, force=True)
    if not len(dataset):
        raise Unreadable("damaged: a DICOM file without elements")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian
            if implicit
            else uid.ExplicitVRLittleEndian
            if little
            else uid.ExplicitVRBigEndian
        )
    return dataset


def _inflated(data: bytes, most: int) -> bytes:
    """Returns a deflated file as a plain one; pydicom would inflate without a bound.

    Args:
      data: the file's bytes.
      most: bytes that are inflated; of a header alone the rest is left out.
    """
    if DEFLATED not in data:
        return data
    start = PREAMBLE if data[128:132] == b"DICM" else 0
    if data[start : start + 4] == GROUP_LENGTH:
        end = start + 12 + struct.unpack("<I", data[start + 8 : start + 12])[0]
        if DEFLATED in data[:end]:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            plain = inflater.decompress(data[end:], most)
            if inflater.unconsumed_tail and most == MOST_INFLATED:
                raise Unreadable(f"inflates to more than {MOST_INFLATED // 10**6} million bytes")
            data = data[:end] + plain
    return data.replace(DEFLATED, EXPLICIT)


def _header(dataset: Dataset) -> Header:
    def text(name: str) -> str:
        value = dataset.get(name)
        return "" if value is None else "".join(filter(str.isprintable, str(value))).strip()

    return Header(
        patient_id=text("PatientID"),
        sop_uid=text("SOPInstanceUID"),
        modality=text("Modality").upper(),
        view=_view(dataset),
        photometric=text("PhotometricInterpretation").upper(),
        frames=int(dataset.get("NumberOfFrames") or 1),
        rows=int(dataset.get("Rows") or 0),
        columns=int(dataset.get("Columns") or 0),
    )


def _view(dataset: Dataset) -> str:
    own = str(dataset.get("ViewPosition") or "").strip().upper()
    codes = [str(code.get("CodeMeaning", "")) for code in dataset.get("ViewCodeSequence") or ()]
    # Some archives, NIH's among them, write the projection where the posture belongs.
    others = [dataset.get(name) for name in ("SeriesDescription", "PatientPosition")]
    for text in (own, *codes, *others):
        joined = re.sub(r"(POSTERO|ANTERO)[ -]+", r"\1", str(text or "").upper())
        words = set(re.findall("[A-Z]+", joined))
        views = [view for view, names in VIEWS.items() if names & words]
        # "chest PA and lateral" describes the study, not this image.
        if views and not (set(views) & set(FRONTAL) and set(views) - set(FRONTAL)):
            return views[0]
    return own


def _stored(dataset: FileDataset) -> np.ndarray:
    """Returns the stored values, [H, W] of up to 16 bits, or colours, [H, W, 3] uint8."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data")
    bits = dataset.BitsStored
    if bits > MOST_BITS:
        raise Unreadable(f"{bits} bits a pixel; up to {MOST_BITS} are allowed")
    photometric = dataset.PhotometricInterpretation
    if (dataset.SamplesPerPixel != 1 and bits > 8) or photometric == "PALETTE COLOR":
        raise Unreadable(
            f"{photometric[:LONGEST_CODE]!r} of {bits} bits; grey, or colour of 8 bits, is allowed"
        )
    if not syntax.is_encapsulated:
        return pixel_array(dataset)
    if syntax not in DECODERS:
        raise Unreadable(f"pixel data as {syntax.name[:64]!r}, which cannot be decoded")
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    _check_frame(frame, dataset)
    if isinstance(DECODERS[syntax], str):
        return pixel_array(dataset, decoding_plugin=DECODERS[syntax])
    return _decompressed(frame, dataset)


def _check_frame(frame: bytes, dataset: Dataset) -> None:
    """Raises Unreadable for compressed pixels of another size than in the header.

    The decoders allocate memory by the size in the frame, and nothing else bounds that.
    """
    if dataset.file_meta.TransferSyntaxUID == uid.RLELossless:
        _check_runs(frame, dataset.Rows * dataset.Columns)
        return
    declared = codestream.size(frame)
    if declared != (dataset.Columns, dataset.Rows):
        width, height = declared
        raise Unreadable(
            f"damaged: {width}x{height} compressed pixels under a header of "
            f"{dataset.Columns}x{dataset.Rows}"
        )
    if dataset.file_meta.TransferSyntaxUID == uid.JPEGBaseline8Bit:
        codestream.check_jpeg(frame)


def _check_runs(frame: bytes, pixels: int) -> None:
    """Raises Unreadable if a segment (PS3.5 G.3) has more than a byte a pixel, and padding."""
    segments, *starts = struct.unpack("<16L", frame[:RLE_HEADER])
    for place, end in pairwise([*starts[:segments], len(frame)]):
        size = 0
        while place < end:
            head = frame[place]
            size += 257 - head if head > 128 else (head + 1) % 129  # a run, a literal, nothing
            place += 2 if head > 128 else (head + 1) % 129 + 1
            if size > 2 * pixels:
                raise Unreadable("damaged: more RLE data than pixels")


def _decompressed(frame: bytes, dataset: FileDataset) -> np.ndarray:
    if dataset.SamplesPerPixel != 1:
        raise Unreadable(f"colour as {dataset.file_meta.TransferSyntaxUID.name}")
    stored = DECODERS[dataset.file_meta.TransferSyntaxUID](frame)
    unused = 8 * stored.itemsize - dataset.BitsStored
    if dataset.PixelRepresentation:
        stored = stored.view(f"i{stored.itemsize}")
    return stored << unused >> unused
