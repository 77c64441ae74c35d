"""One pass of an audit over the files: each is decoded once and reduced to what the audit needs."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from trainer.data import duplicates
from trainer.data.audit import file_features, turned_copies
from trainer.data.audit.file_features import FileFeatures
from trainer.data.decode import limits, radiograph
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system import processes, threads

# Features describe the file as it is: nothing is shrunk unless it is much larger than any film.
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class InspectedFile:
    """A file of a source after it was decoded.

    Attributes:
      record: the source's record of it.
      reason: why it cannot be used as a radiograph; "" where it can, and only then the rest is set.
      left_out: whether that is a choice, such as of views, and no damage.
      digest: of the decoded pixels, so that a copy with other metadata counts as exact.
      fingerprint: see `duplicates.fingerprint`.
      turned: see `turned_copies.turned_fingerprints`.
      features: see `file_features.measure`.
    """

    record: ImageRecord
    reason: str = ""
    left_out: bool = False
    digest: bytes = b""
    fingerprint: bytes = b""
    turned: bytes = b""
    features: FileFeatures | None = None


def inspect(record: ImageRecord, data: bytes, any_view: bool = False) -> InspectedFile:
    """Decodes and measures one file."""
    try:
        pixels = radiograph.decode(data, LARGEST_SIDE, any_view)
        radiograph.check_not_blank(pixels)
    except radiograph.Unreadable as reason:
        return InspectedFile(record, str(reason), isinstance(reason, limits.LeftOut))
    digest = hashlib.blake2b(repr(pixels.shape).encode() + pixels.tobytes(), digest_size=16)
    return InspectedFile(
        record,
        digest=digest.digest(),
        fingerprint=duplicates.fingerprint(pixels),
        turned=turned_copies.turned_fingerprints(pixels),
        features=file_features.measure(data, pixels),
    )


def inspect_all(
    source: Source, records: Sequence[ImageRecord], any_view: bool = False, *, in_threads: bool
) -> list[InspectedFile]:
    """Inspects every record's file, in order, with a progress bar on a terminal.

    Args:
      source: where the files are.
      records: of it, with pseudonyms where it is identifying.
      any_view: takes DICOM's lateral, oblique and decubitus views too.
      in_threads: for a source that cannot be pickled, and whose files were decoded before; else
        processes inspect them, with limits of time and memory.
    """
    read_and_inspect, workers = partial(_inspect_file, source, any_view), os.cpu_count() or 1
    if in_threads:
        inspected = threads.map_in_order(read_and_inspect, records, threads=workers)
    else:
        inspected = processes.map_in_order(
            read_and_inspect, records, InspectedFile, workers=workers
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


def _inspect_file(source: Source, any_view: bool, record: ImageRecord) -> InspectedFile:
    if record.refused:
        return InspectedFile(record, record.refused, record.left_out)
    try:
        return inspect(record, source.read(record), any_view)
    except radiograph.Unreadable as reason:
        return InspectedFile(record, str(reason))
    except OSError as error:
        hidden = error.strerror or type(error).__name__  # the whole message may hold the path
        shown = hidden if source.identifying else error
        return InspectedFile(record, f"cannot be read: {shown}")
