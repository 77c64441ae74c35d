"""DICOM radiographs: the header, and the pixels as a viewer shows them."""

import io
import logging
import re
import struct
import zlib
from dataclasses import dataclass
from itertools import count

import numpy as np
from PIL import Image
from pydicom import Dataset, FileDataset, uid
from pydicom.filereader import read_partial
from pydicom.valuerep import VR

from trainer.data.decode import dicom_pixels, window
from trainer.data.decode.limits import MOST_PIXELS, LeftOut, Unreadable, check_size, reading

MODALITIES = ("CR", "DX", "RG")  # RG is film (PS3.3 C.7.3.1.1.1)
NOT_IN_THE_STANDARD = ("DR",)  # but written by some devices
# Where a file does not say its modality, its SOP class does, but for these two kinds of images.
OF_SOP_CLASS = {
    uid.ComputedRadiographyImageStorage: "CR",
    uid.DigitalXRayImageStorageForPresentation: "DX",
    uid.DigitalXRayImageStorageForProcessing: "DX",
    uid.SecondaryCaptureImageStorage: "",
    "": "",
}
# 16 bits of grey or 24 of colour for the most pixels allowed, and a header.
MOST_INFLATED = 3 * MOST_PIXELS + 2**20
MOST_HEADER = 2**23  # bytes of a deflated file in which its pixels begin: overlays take 1 MiB
MOST_ELEMENTS = 20_000
ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # tag of an item of a sequence, in either order
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

AGES = {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}  # in a year

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
      age: in years, as "34" or "0.5"; as the file has it where that is no age.
    """

    patient_id: str
    sop_uid: str
    modality: str
    view: str
    photometric: str
    frames: int
    rows: int
    columns: int
    sex: str = ""
    age: str = ""
    manufacturer: str = ""


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
        return _header(elements(data))


def elements(data: bytes) -> FileDataset:
    """Reads all elements before the pixels.

    Raises:
      Unreadable: if the file is damaged.
    """
    with reading():
        return _dataset(data, stop_before_pixels=True)


def refusal(header: Header, any_view: bool = False) -> str:
    """Returns why a file is left out, as no radiograph of one frontal view, or "".

    One that says neither its modality nor its view is taken.

    Args:
      header: of that file.
      any_view: takes lateral, oblique and decubitus views too.
    """
    if header.modality and header.modality not in (*MODALITIES, *NOT_IN_THE_STANDARD):
        found = header.modality[: dicom_pixels.LONGEST_CODE]
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
            raise LeftOut(reason)
        check_size(known.columns, known.rows)
        stored = dicom_pixels.stored(dataset)
        if known.photometric in ("MONOCHROME1", "MONOCHROME2"):
            return window.shades(stored, dataset)
        return np.asarray(Image.fromarray(stored).convert("L"))


def _dataset(data: bytes, stop_before_pixels: bool = False) -> FileDataset:
    elements = count()

    def stop_when(tag: int, vr: str | None, length: int) -> bool:
        if next(elements) > MOST_ELEMENTS:
            raise Unreadable(f"damaged: more than {MOST_ELEMENTS:,} DICOM elements")
        return stop_before_pixels and tag in PIXELS

    plain = _inflated(data, MOST_HEADER if stop_before_pixels else MOST_INFLATED)
    if any(plain.count(item) > MOST_ELEMENTS for item in ITEMS):
        raise Unreadable(f"damaged: more than {MOST_ELEMENTS:,} items of DICOM sequences")
    dataset = read_partial(io.BytesIO(plain), stop_when, force=True)
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


def _header(dataset: FileDataset) -> Header:
    def text(name: str) -> str:
        return _printable(dataset.get(name))

    return Header(
        patient_id=text("PatientID"),
        sop_uid=text("SOPInstanceUID"),
        modality=text("Modality").upper() or _modality_of_class(dataset),
        view=_view(dataset),
        photometric=text("PhotometricInterpretation").upper(),
        frames=int(dataset.get("NumberOfFrames") or 1),
        rows=int(dataset.get("Rows") or 0),
        columns=int(dataset.get("Columns") or 0),
        sex=text("PatientSex").upper(),
        age=_years(text("PatientAge")),
        manufacturer=text("Manufacturer"),
    )


def _printable(value: object) -> str:
    """Returns the text of an element that may be damaged, in one line."""
    return "" if value is None else "".join(filter(str.isprintable, str(value))).strip()


def _years(age: str) -> str:
    """Returns an age such as "034Y" or "006M" (PS3.5, AS) in years."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age.upper())
    return f"{int(match[1]) / AGES[match[2]]:.3g}" if match else age


def _modality_of_class(dataset: FileDataset) -> str:
    in_meta = dataset.file_meta.get("MediaStorageSOPClassUID")
    sop_class = uid.UID(_printable(dataset.get("SOPClassUID") or in_meta))
    return OF_SOP_CLASS.get(sop_class, sop_class.name.removesuffix(" Image Storage").upper())


def _view(dataset: Dataset) -> str:
    own = _printable(dataset.get("ViewPosition")).upper()
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
