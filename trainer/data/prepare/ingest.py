"""A source's files, read, checked and re-coded by many processes."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from trainer.data import duplicates
from trainer.data.decode import limits, radiograph, recode
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system import processes

FINGERPRINT_SIDE = 128  # pixels


@dataclass(frozen=True)
class DecodeOptions:
    """How files become images: `recode.recode`'s arguments."""

    max_side: int
    any_view: bool = False
    uniform: bool = False


@dataclass(frozen=True)
class ExaminedFile:
    """A record's file after it was decoded and encoded again.

    Attributes:
      image: the file that is stored, JPEG or PNG; b"" where there is a reason.
      digest: SHA-256 of the bytes that the source gave.
      fingerprint: perceptual hash, where the patient is not known.
      reason: why it is skipped, in a few words, or "".
      left_out: whether that is a choice, such as of views, and no damage.
    """

    image: bytes = b""
    digest: bytes = b""
    fingerprint: bytes = b""
    reason: str = ""
    left_out: bool = False


def examine(source: Source, options: DecodeOptions, record: ImageRecord) -> ExaminedFile:
    """Reads, checks and re-codes one file."""
    if record.refused:
        return ExaminedFile(reason=record.refused, left_out=record.left_out)
    try:
        data = source.read(record)
        image = recode.recoded(data, options.max_side, options.any_view, uniform=options.uniform)
    except radiograph.Unreadable as reason:
        return ExaminedFile(reason=str(reason), left_out=isinstance(reason, limits.LeftOut))
    except OSError as error:
        return ExaminedFile(reason=f"cannot be read: {error.strerror or error}")
    fingerprint = b""
    if not record.patient:
        fingerprint = duplicates.fingerprint(image.shrunk(FINGERPRINT_SIDE))
    return ExaminedFile(image.file, hashlib.sha256(data).digest(), fingerprint)


def examine_all(
    source: Source,
    records: Iterable[ImageRecord],
    options: DecodeOptions,
    *,
    workers: int,
    seconds: float = processes.SECONDS,
) -> Iterator[ExaminedFile]:
    """Yields the result of each record, in order; see `processes.map_in_order`.

    A file whose decoding ends its process, or takes longer than `seconds`, is reported as such in
    `reason`.

    Raises:
      CannotWrite: if processes are killed whatever they decode.
    """
    return processes.map_in_order(
        partial(examine, source, options), records, _failed, workers=workers, seconds=seconds
    )


def _failed(record: ImageRecord, reason: str) -> ExaminedFile:
    del record
    return ExaminedFile(reason=reason)
