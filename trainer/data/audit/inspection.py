"""What an audit learns from each file, by decoding it once."""

import hashlib
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tqdm import tqdm

from trainer.data import duplicates
from trainer.data.audit import file_features
from trainer.data.decode import radiograph
from trainer.data.sources.image_record import ImageRecord, Source

# Traces are those of the file as it is: nothing that is not much larger than any film is shrunk.
LARGEST_SIDE = 4096
FILES_AHEAD = 4  # for each thread


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
    found = _in_order(source, records, any_view)
    bar = tqdm(
        found, "reading", len(records), unit=" images", smoothing=0.1, disable=not _on_a_terminal()
    )
    return list(bar)


def _in_order(
    source: Source, records: Sequence[ImageRecord], any_view: bool
) -> Iterator[Inspected]:
    threads = os.cpu_count() or 1
    ahead: deque[Future | Inspected] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for record in records:
            if len(ahead) == threads * FILES_AHEAD:
                yield _result(ahead.popleft())
            ahead.append(_begun(pool, source, record, any_view))
        while ahead:
            yield _result(ahead.popleft())


def _begun(
    pool: ThreadPoolExecutor, source: Source, record: ImageRecord, any_view: bool
) -> Future | Inspected:
    if record.refused:
        return Inspected(record, record.refused)
    try:
        return pool.submit(inspect, record, source.read(record), any_view)
    except radiograph.Unreadable as reason:
        return Inspected(record, str(reason))
    except OSError as error:
        # The message may hold the path.
        said = error.strerror or type(error).__name__ if source.identifying else str(error)
        return Inspected(record, f"cannot be read: {said}")


def _result(begun: Future | Inspected) -> Inspected:
    return begun if isinstance(begun, Inspected) else begun.result()


def _on_a_terminal() -> bool:
    return sys.stderr.isatty()
