"""DICOM files of a source: patients and refusals by their headers."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from etils import epy

from trainer.data.decode.limits import Unreadable
from trainer.data.sources import files, patients
from trainer.data.sources.files import Files
from trainer.data.sources.image_record import ImageRecord
from trainer.data.sources.kept_columns import KeptColumns
from trainer.system import processes

with epy.lazy_imports():  # pydicom
    from trainer.data.decode import dicom

SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
OTHER_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2")
MAGIC_BYTES = 144  # enough to recognise a DICOM file
MOST_CHECKED = 20  # files whose first bytes are read where no suffix is DICOM's
HEADER_BYTES = 2**20


def has_dicom(source: Files, names: Sequence[str]) -> bool:
    """Returns whether there are DICOM files among the named ones.

    Their suffixes decide, or else the content of the first of them.
    """
    if any(name.lower().endswith(SUFFIXES) for name in names):
        return True
    readable = islice((name for name in names if name not in source.refused), MOST_CHECKED)
    return any(dicom.is_dicom(_head(source, name, MAGIC_BYTES)) for name in readable)


def with_headers(
    records: Sequence[ImageRecord],
    source: Files,
    any_view: bool,
    *,
    from_names: bool = True,
    kept: KeptColumns | None = None,
) -> list[ImageRecord]:
    """Returns the records completed from their DICOM headers.

    A record without a patient gets the header's, and one that the header rules out is refused, as
    is one whose header takes too much time or memory. Files of other formats keep their names.

    Args:
      records: of the source.
      source: where the files are.
      any_view: takes lateral, oblique and decubitus views too.
      from_names: whether the names of files of other formats tell their patients.
      kept: the columns whose values the headers complete.
    """
    headers = _headers(source, [record.place for record in records if not record.refused])

    def with_header(record: ImageRecord) -> ImageRecord:
        header = headers.get(record.place)
        if header is None:
            if not record.place.lower().endswith(OTHER_SUFFIXES):
                return record
            own = patients.patient_from_name(record.name) if from_names else ""
            return replace(record, patient=record.patient or own, anonymous=True)
        if isinstance(header, str):
            return replace(record, refused=header)
        own = "" if patients.stands_for_nobody(header.patient_id) else header.patient_id
        patient = record.patient or own
        reason = dicom.refusal(header, any_view)
        return replace(
            record,
            patient=patient,
            refused=reason,
            left_out=bool(reason),
            columns=kept.with_header(record.columns, header) if kept else (),
        )

    return [with_header(record) for record in records]


def by_sop_uid(source: Files, names: Iterable[str]) -> dict[str, str]:
    """Returns the file of each SOP instance UID, without the files that are not DICOM."""
    readable = [name for name in names if name not in source.refused]
    headers = _headers(source, readable).items()
    return {header.sop_uid: name for name, header in headers if isinstance(header, dicom.Header)}


def _headers(source: Files, names: Sequence[str]) -> "dict[str, dicom.Header | str]":
    """Returns the headers of the files that have one; decoding gives the others a reason.

    They are read in processes, under the limits of decoding: a few bytes can inflate to gigabytes.
    One that exceeds them has the reason in place of its header.
    """
    workers = min(len(names), len(os.sched_getaffinity(0)))
    found = processes.map_in_order(
        partial(_header, source), names, lambda _, reason: reason, workers=workers
    )
    return {name: header for name, header in zip(names, found, strict=True) if header is not None}


def _header(source: Files, name: str) -> "dicom.Header | str | None":
    head = _head(source, name, HEADER_BYTES)
    if not dicom.is_dicom(head):
        return None
    header = _parsed(head)
    if (header is None or not header.rows) and len(head) == HEADER_BYTES:
        header = _parsed(_head(source, name, files.MAX_BYTES))  # it is longer than the first bytes
    return header


def _parsed(data: bytes) -> "dicom.Header | None":
    try:
        return dicom.header(data)
    except Unreadable:
        return None


def _head(source: Files, name: str, size: int) -> bytes:
    try:
        return source.head(name, size)
    except OSError:
        return b""
