"""One pass of an audit over the files: each is decoded once and reduced to what the audit needs."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

from trainer.data import duplicates
from trainer.data.audit import file_features
from trainer.data.audit.file_features import FileFeatures
from trainer.data.decode import radiograph
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system import threads

# Features describe the file as it is: nothing is shrunk unless it is much larger than any film.
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class InspectedFile:
    """A file of a source after it was decoded.

    Attributes:
      record: the source's record of it.
      reason: why it cannot be used as a radiograph; "" where it can, and only then the rest is set.
      digest: of the decoded pixels, so that a copy with other metadata counts as exact.
      fingerprint: see `duplicates.fingerprint`.
      features: see `file_features.measure`.
    """

    record: ImageRecord
    reason: str = ""
    digest: bytes = b""
    fingerprint: bytes = b""
    features: FileFeatures | None = None


def inspect(record: ImageRecord, data: bytes, any_view: bool = False) -> InspectedFile:
    """Decodes and measures one file."""
    try:
        pixels = radiograph.decode(data, LARGEST_SIDE, any_view)
        radiograph.check_not_blank(pixels)
    except radiograph.Unreadable as reason:
        return InspectedFile(record, str(reason))
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
    return InspectedFile(
        record,
        digest=digest.digest(),
        fingerprint=duplicates.fingerprint(pixels),
        features=file_features.measure(data, pixels),
    )


def inspect_all(
    source: Source, records: Sequence[ImageRecord], any_view: bool = False
) -> list[InspectedFile]:
    """Inspects every record's file, in threads, with a progress bar on a terminal.

    Files are read in order, and only a few for each thread are in memory at once.
    """

    def inspect_content(file: tuple[ImageRecord, bytes | str]) -> InspectedFile:
        record, content = file
        if isinstance(content, str):
            return InspectedFile(record, content)
        return inspect(record, content, any_view)

    inspected = threads.map_in_order(
        inspect_content,
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
