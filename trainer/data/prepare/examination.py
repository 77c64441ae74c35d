"""Every file of a source, decoded once: those that are used, and why the others are not."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trainer.data.prepare import skipped_files
from trainer.data.prepare.beam_backend import BeamBackend
from trainer.data.prepare.ingest import ExaminedFile
from trainer.data.prepare.local_backend import LocalBackend
from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine, clock

Backend = LocalBackend | BeamBackend

RATE_SECONDS = 3.0  # until the rate is worth showing
MOST_SHOWN = 20  # skipped files with a line each in the terminal


@dataclass
class Examination:
    """What became of the records of a source.

    Attributes:
      records: those that are used.
      results: of these, without the images.
      skipped: those that cannot be used, with their reasons.
      left_out: those that are not asked for, with their reasons.
    """

    records: list[ImageRecord] = field(default_factory=list)
    results: list[ExaminedFile] = field(default_factory=list)
    skipped: list[tuple[ImageRecord, str]] = field(default_factory=list)
    left_out: list[tuple[ImageRecord, str]] = field(default_factory=list)

    def unused(self) -> list[ImageRecord]:
        """Returns the records that are not used."""
        return [record for record, _ in (*self.skipped, *self.left_out)]


def examine(
    backend: Backend, records: Sequence[ImageRecord], *, strict: bool, max_skipped: float
) -> Examination:
    """Reads all files, and tells on a live line how far it is.

    Args:
      backend: which decodes them.
      records: of the source.
      strict: whether the first file that cannot be used ends it.
      max_skipped: share of the files that may be skipped.

    Raises:
      UsageError: if too many files cannot be used, or none is.
    """
    found = Examination()
    line, started = LiveLine(sys.stderr), time.monotonic()
    for done, (record, result) in enumerate(
        zip(records, backend.examine(records), strict=True), start=1
    ):
        if result.left_out:
            found.left_out.append((record, result.reason))
        elif result.reason:
            found.skipped.append((record, result.reason))
            if len(found.skipped) <= MOST_SHOWN:
                line.settle(f"skipped {record.place or record.name}: {result.reason}")
        else:
            found.records.append(record)
            found.results.append(replace(result, image=b""))
        skipped_files.check(
            found.skipped,
            done=done - len(found.left_out),
            total=len(records) - len(found.left_out),
            strict=strict,
            max_skipped=max_skipped,
        )
        seconds = time.monotonic() - started
        if seconds > RATE_SECONDS:
            left = clock(seconds * (len(records) - done) / done)
            line.show(f"{done:,} of {len(records):,} images, {done / seconds:,.0f}/s, {left} left")
    line.settle(f"examined {len(records):,} images in {clock(time.monotonic() - started)}")
    if not found.records:
        unused = (*found.left_out, *found.skipped)
        reasons = [(record.place or record.name, reason) for record, reason in unused]
        lines = ["no image of the source is used:", *skipped_files.table(reasons)]
        raise UsageError("\n".join(lines))
    return found
