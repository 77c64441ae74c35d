"""What a source of DICOM files adds: whose they are, and what is refused, by their headers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from trainer.data.decode import dicom
from trainer.data.decode.limits import Unreadable
from trainer.data.sources import files
from trainer.data.sources.files import Files
from trainer.data.sources.image_record import ImageRecord
from trainer.system import threads

SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
MAGIC_BYTES = 144  # enough to know a DICOM file by
LOOKED_AT = 20  # files whose first bytes are looked at where no suffix tells
HEADER_BYTES = 2**20
THREADS = 16  # they mostly wait for the disk or the bucket


def is_one(of: Files, names: Sequence[str]) -> bool:
    """Tells whether there are DICOM files among the named ones, by suffix or by the content of
    the first of them."""
    if any(name.lower().endswith(SUFFIXES) for name in names):
        return True
    readable = islice((name for name in names if name not in of.refused), LOOKED_AT)
    return any(dicom.is_dicom(_head(of, name, MAGIC_BYTES)) for name in readable)


def with_headers(records: Sequence[ImageRecord], of: Files, any_view: bool) -> list[ImageRecord]:
    """Returns the records with the patient of the header where they have none, and with the
    reason for which a header is refused. Files that are not DICOM stay as they are."""
    headers = dict(_headers(of, [record.place for record in records if not record.refused]))

    def with_header(record: ImageRecord) -> ImageRecord:
        header = headers.get(record.place)
        if header is None:
            return record
        patient = record.patient or header.patient_id
        return replace(record, patient=patient, refused=dicom.refusal(header, any_view))

    return [record if record.refused else with_header(record) for record in records]


def by_sop_uid(of: Files, names: Iterable[str]) -> dict[str, str]:
    """Returns the file of each SOP instance UID; those that are no DICOM file are left out."""
    readable = [name for name in names if name not in of.refused]
    return {header.sop_uid: name for name, header in _headers(of, readable)}


def _headers(of: Files, names: Sequence[str]) -> Iterator[tuple[str, dicom.Header]]:
    """Yields the headers of the files that have one; decoding the others will tell why not.

    Threads read ahead, a bounded number, and this one parses, which takes the interpreter's lock.
    """
    heads = threads.map_in_order(lambda name: _head(of, name, HEADER_BYTES), names, threads=THREADS)
    for name, head in zip(names, heads, strict=True):
        if header := _header(of, name, head):
            yield name, header


def _header(of: Files, name: str, head: bytes) -> dicom.Header | None:
    if not dicom.is_dicom(head):
        return None
    header = _parsed(head)
    if (header is None or not header.rows) and len(head) == HEADER_BYTES:
        header = _parsed(_head(of, name, files.MAX_BYTES))  # it goes on behind the first bytes
    return header


def _parsed(data: bytes) -> dicom.Header | None:
    try:
        return dicom.header(data)
    except Unreadable:
        return None


def _head(of: Files, name: str, size: int) -> bytes:
    try:
        return of.head(name, size)
    except OSError:
        return b""
