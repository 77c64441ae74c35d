"""What Google's transfer_manager lacks: progress in bytes, and an end once the service is down."""

import threading
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple, TypeVar

from trainer.system.terminal import LiveLine, clock

WORKERS = 8  # files at the same time

Item = TypeVar("Item")


class Transferred(NamedTuple):
    """Files and bytes that were sent or brought, and files that were there already."""

    files: int
    bytes: int
    unchanged: int


class ByteCounter:
    """Bytes transferred so far, counted by many threads and shown in one line.

    Args:
      line: where they are shown.
      verb: what happened to them, as in "sent".
      total: bytes to transfer.
    """

    def __init__(self, line: LiveLine, verb: str, total: int):
        self._line, self._verb, self._total = line, verb, total
        self._done = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Counts `size` more bytes."""
        with self._lock:
            self._done += size
            seconds = time.monotonic() - self._started
            rate = self._done / seconds if seconds else 0.0
            left = f", {clock((self._total - self._done) / rate)} left" if rate else ""
            self._line.show(
                f"{self._verb} {self._done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB, "
                f"{rate / 1e6:,.1f} MB/s{left}",
                self._done / self._total if self._total else 1.0,
            )


class CountedFile(FileIO):
    """A local file whose bytes count as sent when the next ones are read, or as it is closed."""

    def __init__(self, path: Path, counter: ByteCounter):
        super().__init__(path)
        self._counter, self._counted = counter, 0

    def read(self, size: int | None = -1) -> bytes:
        """Returns the next bytes; those read before count as sent."""
        self._count()
        return super().read(size)

    def close(self) -> None:
        """Closes the file; all that was read counts as sent."""
        if not self.closed:
            self._count()
        super().close()

    def _count(self) -> None:
        position = self.tell()
        self._counter.add(position - self._counted)
        self._counted = position


def groups(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Yields the items in groups, each to be transferred before the next one begins.

    transfer_manager reports errors after it has tried every file, retries included: in one go, a
    service that is down would be noticed only after hours.
    """
    for start in range(0, len(items), WORKERS):
        yield items[start : start + WORKERS]
