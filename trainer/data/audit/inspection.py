"""What an audit learns from each file, by decoding it once."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from trainer.data import duplicates
from trainer.data.audit import file_features
from trainer.data.decode import radiograph
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system import threads

# Traces are those of the file as it is: nothing that is not much larger than any film is shrunk.
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Inspected:
    """One file.

    Attributes:
      record: whose file it is.
      reason: why it is no radiograph that can be used; else "", and the rest is there.
      digest: of the decoded pixels, so that a copy with other metadata counts as exact.
      fingerprint: see `duplicates.fingerprint`.
      trace: see `file_features.trace`.
    """

    record: ImageRecord
    reason: str = ""
    digest: bytes = b""
    fingerprint: bytes = b""
    trace: file_features.Trace | None = None


def inspect(record: ImageRecord, data: bytes, any_view: bool = False) -> Inspected:
    """Returns what one file tells."""
    try:
        pixels = radiograph.decode(data, LARGEST_SIDE, any_view)
    except radiograph.Unreadable as reason:
        return Inspected(record, str(reason))
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
    return Inspected(
        record,
        digest=digest.digest(),
        fingerprint=duplicates.fingerprint(pixels),
        trace=file_features.trace(data, pixels),
    )


def inspect_all(
    source: Source, records: Sequence[ImageRecord], any_view: bool = False
) -> list[Inspected]:
    """Inspects every record's file, in threads, with a progress bar on a terminal.

    Files are read in order, and only a few for each thread are in memory at once.
    """

    def inspect_read(file: tuple[ImageRecord, bytes | str]) -> Inspected:
        record, content = file
        if isinstance(content, str):
            return Inspected(record, content)
        return inspect(record, content, any_view)

    inspected = threads.map_in_order(
        inspect_read,
        ((record, _read(source, record)) for record in records),
        threads=os.cpu_count() or 1,
    )
    bar = tqdm(
        inspected,
        "reading",
        len(records),
        unit=" images",
        smoothing=0.1,
        disable=not sys.stderr.isatty(),
    )
    return list(bar)


def _read(source: Source, record: ImageRecord) -> bytes | str:
    """Returns the content of a record's file, or the reason why it cannot be read."""
    if record.refused:
        return record.refused
    try:
        return source.read(record)
    except radiograph.Unreadable as reason:
        return str(reason)
    except OSError as error:
        # The message may hold the path.
        hidden = error.strerror or type(error).__name__
        return f"cannot be read: {hidden if source.identifying else error}"
