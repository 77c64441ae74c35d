"""Work on many files at once, with its progress in bytes."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import BinaryIO, TypeVar

from trainer.system.terminal import LiveLine, clock

AT_ONCE = 8  # files
TICK = 0.2  # seconds between two looks at the progress

Item = TypeVar("Item")
Result = TypeVar("Result")


class Abandoned(Exception):
    """Ends the work on a file, as that on another one has failed or the user wants no more."""


class Transfer:
    """Bytes that many threads have dealt with, shown in one line.

    Args:
      line: where they are shown.
      verb: what was done to them, as in "sent".
      total: bytes there are.
    """

    def __init__(self, line: LiveLine, verb: str, total: int):
        self._line, self._verb, self._total = line, verb, total
        self._done = 0
        self._started = time.monotonic()
        self._abandoned = False
        self._lock = threading.Lock()

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Returns what `work` returns for each item, or raises the first error there is.

        The threads are daemons: after an error or KeyboardInterrupt nobody waits for those that
        still send, as a request may take minutes.
        """
        given: queue.SimpleQueue[tuple[Future, Item]] = queue.SimpleQueue()
        results = [Future() for _ in items]
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        for result, item in zip(results, items, strict=True):
            result.add_done_callback(ended.put)
            given.put((result, item))
        for _ in range(min(AT_ONCE, len(items))):
            threading.Thread(target=self._work, args=(work, given), daemon=True).start()
        try:
            left = len(items)
            while left:
                try:
                    ended.get(timeout=TICK).result()
                    left -= 1
                except queue.Empty:
                    pass
                self._show()
        except BaseException:
            self._abandoned = True
            raise
        return [result.result() for result in results]

    def add(self, size: int) -> None:
        """Counts bytes that were dealt with."""
        if self._abandoned:
            raise Abandoned
        with self._lock:
            self._done += size

    def _work(self, work: Callable, given: queue.SimpleQueue) -> None:
        while not self._abandoned:
            try:
                result, item = given.get_nowait()
            except queue.Empty:
                return
            try:
                result.set_result(work(item))
            except BaseException as error:
                result.set_exception(error)

    def _show(self) -> None:
        seconds = time.monotonic() - self._started
        rate = self._done / seconds if seconds else 0.0
        left = f", {clock((self._total - self._done) / rate)} left" if rate else ""
        self._line.show(
            f"{self._verb} {self._done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB, "
            f"{rate / 1e6:,.1f} MB/s{left}",
            self._done / self._total if self._total else 1.0,
        )


class Counted:
    """A file whose bytes count once those that follow are asked for: the service has them then."""

    def __init__(self, file: BinaryIO, transfer: Transfer):
        self._file, self._transfer, self._counted = file, transfer, 0

    def read(self, size: int) -> bytes:
        self.settle()
        return self._file.read(size)

    def seek(self, place: int) -> None:
        self._file.seek(place)
        self.settle()

    def tell(self) -> int:
        return self._file.tell()

    def settle(self) -> None:
        """Counts everything up to the position."""
        self._transfer.add(self.tell() - self._counted)
        self._counted = self.tell()
