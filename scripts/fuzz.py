"""Feeds damaged archives, DICOM files, images and JSON to their readers, which must refuse them.

A refusal is one sentence; a traceback is none, and no case may take long.

    .venv/bin/python scripts/fuzz.py --minutes=20

Case n of a kind is always the same input, so one that is found is repeated with --kind and --first.
"""

import argparse
import copy
import io
import json
import random
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from trainer.config import schema
from trainer.data import summary_file
from trainer.data.decode import dicom, radiograph
from trainer.data.sources.archive import Archives
from trainer.system import environment, json_files
from trainer.system.errors import UsageError

SIDE = 48  # pixels of the images
CASE_SECONDS = 20.0  # no case may take longer
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
VALUES: tuple[Any, ...] = (None, [], {}, "", "x", -1, 0, 2**70, 1e400, True, [[]], [None], {"": {}})


def main() -> None:
    """Tries cases until the time is over, and ends with 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long it tries (20)")
    parser.add_argument("--kind", choices=KINDS, help="of the input; by default all in turn")
    parser.add_argument("--first", type=int, default=0, help="number of the first case (0)")
    given = parser.parse_args()
    kinds, until = (
        [given.kind] if given.kind else list(KINDS),
        time.monotonic() + 60 * given.minutes,
    )
    accepted = dict.fromkeys(kinds, 0)
    for case in count(given.first):
        for kind in kinds:
            try:
                accepted[kind] += check(kind, case)
            except BaseException:
                print(f"--kind={kind} --first={case} fails:", file=sys.stderr)
                raise
        if time.monotonic() > until:
            break
    for kind, number in accepted.items():
        print(f"{kind}: {case - given.first + 1:,} cases, {number:,} of them read as sound")


def check(kind: str, case: int) -> bool:
    """Returns whether the reader of a kind takes a damaged input; False if it refuses it.

    Raises:
      Exception: what the reader raises other than a refusal.
      AssertionError: if it takes too long.
    """
    draw = random.Random(f"{kind} {case}")
    sound, damage, read = KINDS[kind]
    data, began = damage(draw, draw.choice(sound())), time.monotonic()
    try:
        read(data)
        return True
    except (UsageError, OSError, radiograph.Unreadable) as refusal:
        assert "\n" not in str(refusal), refusal
        return False
    finally:
        seconds = time.monotonic() - began
        assert seconds < CASE_SECONDS, f"{seconds:.0f} s"


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Returns `data` with one to four things wrong in it."""
    content = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(content) + 1)
        length = draw.choice((1, 2, 4, 16, draw.randrange(1, 500)))
        match draw.randrange(6):
            case 0 if at < len(content):
                content[at] ^= 1 << draw.randrange(8)
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = draw.randbytes(length)
            case 3:
                size, order = draw.choice((1, 2, 4, 8)), draw.choice(("little", "big"))
                number = draw.choice(NUMBERS) % 256**size
                content[at : at + size] = number.to_bytes(size, order)
            case 4:
                content[at:at] = content[at : at + length] * draw.randint(1, 3)
            case 5 if draw.random() < 0.2:
                del content[at:]
    return bytes(content)


def damaged_json(draw: random.Random, data: bytes) -> bytes:
    """Returns JSON in which a value is of another kind, is missing, or whose bytes are damaged."""
    if draw.random() < 0.2:
        return damaged(draw, data)
    content = json.loads(data)
    for _ in range(draw.randint(1, 2)):
        places = list(_places(content))
        if not places:
            break
        holder, key = draw.choice(places)
        if draw.random() < 0.3:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(draw.choice(VALUES))  # damaged further
    return json.dumps(content).encode()


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each list or object in JSON with each of its places."""
    keys = content if isinstance(content, dict) else range(len(content))
    for key in keys:
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])


def _pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)


def _encoded(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(_pixels()).save(file, kind, **options)
    return file.getvalue()


@cache
def images() -> list[bytes]:
    """Returns an image in each format."""
    kinds = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
    return [*map(_encoded, kinds), _encoded("JPEG", progressive=True)]


@cache
def dicom_files() -> list[bytes]:
    """Returns a DICOM file of each encoding, with a sequence and a private element."""
    plain = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    files = [_dicom(syntax, _pixels().tobytes()) for syntax in plain]
    return [*files, _dicom(JPEGBaseline8Bit, encapsulate([_encoded("JPEG")]))]


def _dicom(syntax: UID, pixels: bytes) -> bytes:
    meta, image, code, file = FileMetaDataset(), Dataset(), Dataset(), io.BytesIO()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = syntax, UID("1.2.3")
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    image.file_meta = meta
    image.PatientID, image.SOPInstanceUID, image.Modality = "MRN 7", "1.2.3", "DX"
    code.CodeMeaning = "postero-anterior"
    image.ViewCodeSequence = [code]
    image.add_new((0x0009, 0x0010), "LO", "SOMEONE")
    image.add_new((0x0009, 0x1001), "OB", bytes(10))
    image.Rows = image.Columns = SIDE
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 7, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.WindowCenter, image.WindowWidth, image.RescaleSlope = 128, 256, 1
    image.PixelData = pixels
    image.save_as(file, enforce_file_format=True)
    return file.getvalue()


@cache
def archives() -> list[bytes]:
    """Returns archives of stored and deflated members."""
    files = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in ("train/WELL/1.png", "train/SICK/Ä.png", "README.md"):
                archive.writestr(name, _encoded("PNG"))
            archive.comment = b"of a test"
        files.append(file.getvalue())
    return files


@cache
def records() -> list[bytes]:
    """Returns records of a run, as JSON."""
    described = environment.describe(["CPU:0"]) | {"starts": []}
    start = described | {"step": 3, "device_kind": "CPU"}
    counts = {"images": 3, "patients": 2, "per_label": {"SICK": {"positive": 1, "negative": 2}}}
    summary = {"source": "x", "labels": ["SICK"], "splits": {"train": counts}, "shards": []}
    contents = (schema.default().to_dict(), described | {"starts": [start]}, summary)
    return [json.dumps(content).encode() for content in contents]


def _read_archive(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.zip"
        path.write_bytes(data)
        source = Archives(str(path), [epath.Path(path)])
        for name in source.stamps:
            if name not in source.refused:
                source.read(name)


def _read_records(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = epath.Path(folder) / summary_file.SUMMARY
        file.write_bytes(data)
        readers: list[Callable[[], Any]] = [
            lambda: summary_file.read(epath.Path(folder)),
            lambda: schema.from_saved(json_files.read(file)),
        ]
        for reader in readers:
            try:
                reader()
            except UsageError as refusal:
                assert "\n" not in str(refusal), refusal
        json_files.set_aside_if_damaged(file, environment.check, "it begins anew")


# How sound inputs are made, damaged and read, for each kind.
KINDS: dict[str, tuple[Callable, Callable, Callable]] = {
    "archive": (archives, damaged, _read_archive),
    "dicom header": (dicom_files, damaged, dicom.header),
    "dicom pixels": (dicom_files, damaged, partial(radiograph.decode, max_side=SIDE)),
    "image": (images, damaged, partial(radiograph.decode, max_side=SIDE)),
    "record": (records, damaged_json, _read_records),
}


if __name__ == "__main__":
    main()
