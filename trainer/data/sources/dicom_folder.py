"""DICOM files of a source: patients and refusals by their headers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from trainer.data.decode import dicom
from trainer.data.decode.limits import Unreadable
from trainer.data.sources import files, patients
from trainer.data.sources.files import Files
from trainer.data.sources.image_record import ImageRecord
from trainer.system import threads

SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
OTHER_SUFFIXES = (".jpeg", ".jpg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2")
MAGIC_BYTES = 144  # enough to recognise a DICOM file
MOST_CHECKED = 20  # files whose first bytes are read where no suffix is DICOM's
HEADER_BYTES = 2**20
THREADS = 16  # they mostly wait for the disk or the bucket


def has_dicom(source: Files, names: Sequence[str]) -> bool:
    """Returns whether there are DICOM files among the named ones.

    Their suffixes decide, or else the content of the first of them.
    """
    if any(name.lower().endswith(SUFFIXES) for name in names):
        return True
    readable = islice((name for name in names if name not in source.refused), MOST_CHECKED)
    return any(dicom.is_dicom(_head(source, name, MAGIC_BYTES)) for name in readable)


def with_headers(
    records: Sequence[ImageRecord], source: Files, any_view: bool, *, from_names: bool = True
) -> list[ImageRecord]:
    """Returns the records completed from their DICOM headers.

    A record without a patient gets the header's, and one that the header rules out is refused.
    Files of other formats among them keep their names.

    Args:
      records: of the source.
      source: where the files are.
      any_view: takes lateral, oblique and decubitus views too.
      from_names: whether the names of files of other formats tell their patients.
    """
    headers = dict(_headers(source, [record.place for record in records if not record.refused]))

    def with_header(record: ImageRecord) -> ImageRecord:
        header = headers.get(record.place)
        if header is None:
            if not record.place.lower().endswith(OTHER_SUFFIXES):
                return record
            own = patients.patient_from_name(record.name) if from_names else ""
            return replace(record, patient=record.patient or own, anonymous=True)
        own = "" if patients.stands_for_nobody(header.patient_id) else header.patient_id
        patient = record.patient or own
        reason = dicom.refusal(header, any_view)
        return replace(record, patient=patient, refused=reason, left_out=bool(reason))

    return [with_header(record) for record in records]


def by_sop_uid(source: Files, names: Iterable[str]) -> dict[str, str]:
    """Returns the file of each SOP instance UID, without the files that are not DICOM."""
    readable = [name for name in names if name not in source.refused]
    return {header.sop_uid: name for name, header in _headers(source, readable)}


def _headers(source: Files, names: Sequence[str]) -> Iterator[tuple[str, dicom.Header]]:
    """Yields the headers of the files that have one; decoding gives the others a reason.

    Threads read a bounded number of files ahead; this one parses, which needs Python's lock.
    """
    heads = threads.map_in_order(
        lambda name: _head(source, name, HEADER_BYTES), names, threads=THREADS
    )
    for name, head in zip(names, heads, strict=True):
        if header := _header(source, name, head):
            yield name, header


def _header(source: Files, name: str, head: bytes) -> dicom.Header | None:
    if not dicom.is_dicom(head):
        return None
    header = _parsed(head)
    if (header is None or not header.rows) and len(head) == HEADER_BYTES:
        header = _parsed(_head(source, name, files.MAX_BYTES))  # it is longer than the first bytes
    return header


def _parsed(data: bytes) -> dicom.Header | None:
    try:
        return dicom.header(data)
    except Unreadable:
        return None


def _head(source: Files, name: str, size: int) -> bytes:
    try:
        return source.head(name, size)
    except OSError:
        return b""
