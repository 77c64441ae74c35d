"""Names and patients of DICOM files replaced by keyed hashes."""

import csv
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system.errors import UsageError
from trainer.system.printable import cell

DICOM = "DICOM files"
HASH_BYTES = 12  # of 400,000 files two collide with a chance of 1e-18


def all_pseudonymous(records: Sequence[ImageRecord], salt: str) -> list[ImageRecord]:
    """Returns `pseudonymous` records of all that are not anonymous, and of their patients.

    A salt of "" is drawn, and nobody learns it.
    """
    salt = salt or secrets.token_hex(32)
    hidden = {record.patient for record in records if not record.anonymous} - {""}

    def stored(record: ImageRecord) -> ImageRecord:
        if not record.anonymous:
            return pseudonymous(record, salt)
        if record.patient in hidden:
            return replace(record, patient=pseudonymous(record, salt).patient)
        return record

    return [stored(record) for record in records]


def write_names(
    file: Path, stored: Mapping[str, ImageRecord], records: Sequence[ImageRecord]
) -> None:
    """Writes which file and patient each hash stands for, readable by the file's owner alone.

    Args:
      file: a CSV file that does not exist yet.
      stored: each record as it is stored, by its name in the source.
      records: as the source has them.

    Raises:
      UsageError: if it exists or cannot be written.
    """
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(opened, "w", newline="", encoding="utf-8") as content:
            rows = csv.writer(content)
            rows.writerow(("name", "patient", "file", "identifier"))
            for record in records:
                new = stored[record.name]
                if new != record:
                    place = record.place or record.name
                    texts = (new.name, new.patient, place, record.patient)
                    rows.writerow(cell(text or "") for text in texts)
    except FileExistsError:
        raise UsageError(f"--names_file={file} exists already: name another file.") from None
    except OSError as mistake:
        raise UsageError(f"--names_file={file} cannot be written: {mistake.strerror}.") from None


def source_name(source: Source) -> str:
    """Returns what is stored as a source's name: not its path where that may name a patient."""
    return DICOM if source.identifying else source.name


def pseudonymous(record: ImageRecord, salt: str) -> ImageRecord:
    """Returns the record with its name and patient hashed; the place it is read from stays.

    The hash is BLAKE2b keyed with `salt`: without it nobody can test the hash of a known patient. A
    record without a patient stays without one.
    """
    place = record.place or record.name
    patient = record.patient and f"patient-{_hash(record.patient, salt)}"
    return replace(record, name=f"dicom-{_hash(place, salt)}", patient=patient, place=place)


def _hash(text: str, salt: str) -> str:
    key = hashlib.sha256(salt.encode()).digest()
    content = text.encode(errors="surrogateescape")
    return hashlib.blake2b(content, key=key, digest_size=HASH_BYTES).hexdigest()
