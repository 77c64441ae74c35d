"""What ends a process that does not get on: a collective, a read or a write that never returns."""

import faulthandler
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from etils import epath

from trainer.system import atomic
from trainer.system.errors import WorkerLost

MINUTE = 60.0  # seconds
FIRST = 6  # times the least limit, for the first of a kind, which may compile
OTHERS = 3  # times the least limit, for what is no training loop and may write or draw
LONGEST = 10  # times the longest of its kind
TICK_SECONDS = 1.0
WRITE_SECONDS = 30.0  # in which the stacks are written; the disk may be what does not answer


class Watchdog:
    """Ends the process with 75 when work takes far longer than its kind has taken.

    A thread watches inside its `with` block. First it writes the stacks of all threads to a file,
    or to stderr where that cannot be written, and one line that says what did not get on. The time
    in which the process itself is stopped does not count.

    Args:
      folder: of the stacks, local or gs://.
      worker: number of this process.
      minutes: that every work may take, and more if its kind has; 0 watches nothing.
    """

    def __init__(self, folder: epath.PathLike = "stacks", worker: int = 0, minutes: float = 0.0):
        self._folder, self._worker = epath.Path(folder), worker
        self._least = minutes * MINUTE
        self._longest: dict[str, float] = {}  # of each kind but its first, seconds
        self._previous = ""
        self._work: _Work | None = None
        self._closed = threading.Event()

    def __enter__(self) -> "Watchdog":
        if self._least:
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()

    @contextmanager
    def watch(self, kind: str) -> Iterator[None]:
        """Limits the time of the work inside; work within other work pauses that.

        Args:
          kind: such as "training loop", for the message and to know what is usual.
        """
        limit = max(self._limit(kind), self._limit(self._previous))  # that others may still do
        outer, self._work = self._work, _Work(kind, limit)
        try:
            yield
            known = kind in self._longest
            longest = max(self._longest.get(kind, 0.0), self._work.seconds if known else 0.0)
            self._longest[kind], self._previous = longest, kind
        finally:
            self._work = outer

    def _limit(self, kind: str) -> float:
        """Returns the seconds that work of a kind may take."""
        if not kind:
            return 0.0
        if kind not in self._longest:
            return FIRST * self._least
        least = self._least if kind == "training loop" else OTHERS * self._least
        return max(least, LONGEST * self._longest[kind])

    def _run(self) -> None:
        before, tick = time.monotonic(), min(TICK_SECONDS, self._least / 10)
        while not self._closed.wait(tick):
            now = time.monotonic()
            if work := self._work:
                work.seconds += min(now - before, 2 * tick)  # more if this process was stopped
                if work.seconds > work.limit:
                    self._end(work)
            before = now

    def _end(self, work: "_Work") -> None:
        name = f"worker-{self._worker}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.txt"
        stacks, file = _stacks(), self._folder / name
        writer = threading.Thread(target=atomic.write_bytes, args=(file, stacks), daemon=True)
        threading.excepthook = lambda _: None  # what cannot be written goes to stderr
        writer.start()
        writer.join(WRITE_SECONDS)
        where = str(file)
        if writer.is_alive() or not file.exists():
            os.write(2, stacks)
            where = "the lines above"
        sentence = (
            f"\nerror: worker {self._worker} has not got on with a {work.kind} for "
            f"{work.seconds / 60:.1f} minutes; the stacks of all threads are in {where}. Start all "
            "workers again, and the run goes on from its newest checkpoint; train.hang_minutes "
            "allows more.\n"
        )
        sys.stdout.flush()
        os.write(2, sentence.encode())
        os._exit(WorkerLost.exit_code)


class _Work:
    """Work that is being done: its kind, the seconds it may take, and those it has taken."""

    def __init__(self, kind: str, limit: float):
        self.kind, self.limit, self.seconds = kind, limit, 0.0


def _stacks() -> bytes:
    """Returns where each thread is, without reading a source file."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()
