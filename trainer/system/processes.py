"""Work on many items in processes, in order, bounded in memory and time.

Processes and not threads: an item that crashes its process or never comes to an end costs that
process alone, and small images are half again as slow on threads, which wait for one another.
"""

import multiprocessing
import queue
import resource
import signal
import sys
import time
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import connection
from typing import Any, TypeVar

from trainer.system.errors import CannotWrite

AHEAD = 64  # items for each process that are worked on or wait to be yielded
SECONDS = 60.0  # limit for one item
MOST_BYTES = 5 * 2**29  # of memory that a process may allocate
POLL_SECONDS = 1.0
GATHER_SECONDS = 0.002  # several answers at once cost less than each by itself
MOST_KILLED = 8  # items in a row
CRASHED = "decoding it ended its process (a crash, or too little memory)"

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    failed: Callable[[Item, str], Result],
    *,
    workers: int,
    seconds: float = SECONDS,
) -> Iterator[Result]:
    """Yields what `function` returns for each item, in order, a bounded number ahead.

    An item whose process ends is tried once more, by a new process and before any other.

    Args:
      function: can be pickled, as can its items and results.
      items: its arguments.
      failed: returns the result of an item that ended its process twice, or took longer than
        `seconds`, from the reason.
      workers: number of processes.
      seconds: limit for one item.

    Raises:
      CannotWrite: if processes are killed whatever they work on.
    """
    waiting = enumerate(items)
    results: dict[int, Result] = {}
    tried_again: set[int] = set()
    yielded = killed = 0
    team = [_Process(function) for _ in range(workers)]
    try:
        while True:
            room = workers * AHEAD - len(results) - sum(len(process.given) for process in team)
            for number, item in islice(waiting, room):
                min(team, key=lambda process: len(process.given)).give(number, item)
            if not any(process.given for process in team):
                return
            connection.wait([process.pipe for process in team if process.given], POLL_SECONDS)
            time.sleep(GATHER_SECONDS)
            for place, process in enumerate(team):
                reason = ""
                try:
                    while process.given and process.pipe.poll():
                        results[process.given[0][0]] = process.pipe.recv()
                        process.answered()
                        killed = 0
                except (EOFError, OSError):
                    reason = CRASHED
                if process.given and process.seconds > seconds:
                    reason = f"decoding it took more than {seconds:.0f} s"
                if reason:
                    left = list(process.given)
                    number, item = left[0]
                    if reason == CRASHED and number not in tried_again:
                        tried_again.add(number)
                    else:
                        killed += reason == CRASHED
                        results[number] = failed(item, reason)
                        left = left[1:]
                    process.kill()
                    team[place] = _Process(function)
                    for other in left:
                        team[place].give(*other)
            if killed >= MOST_KILLED:
                raise CannotWrite(
                    f"the processes that decode are killed, {killed} files in a row: is there "
                    "enough memory? Fewer --workers take less."
                )
            while yielded in results:
                yield results.pop(yielded)
                yielded += 1
    finally:
        for process in team:
            process.kill()


class Failed(Exception):
    """An item ended its process twice, or took too long; the message is the reason."""


class Pool:
    """Processes that work on single items as they come, as `map_in_order` does on many.

    Args:
      function: can be pickled, as can its items and results.
      workers: number of processes.
      seconds: limit for one item.
    """

    def __init__(self, function: Callable, *, workers: int, seconds: float = SECONDS):
        self._function, self._seconds = function, seconds
        self._processes = [_Process(function) for _ in range(workers)]
        self._idle: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(workers):
            self._idle.put(number)
        self._threads = ThreadPoolExecutor(workers, "pool")
        self._closed = False

    def submit(self, item: Any) -> Future:
        """Returns what will hold the result for an item, or Failed."""
        return self._threads.submit(self._work, item)

    def close(self) -> None:
        """Ends the processes at once; what they are at is Failed."""
        self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._processes:
            process.kill()

    def _work(self, item: Any) -> Any:
        number = self._idle.get()
        try:
            for _ in range(2):
                process = self._processes[number]
                process.give(0, item)
                with suppress(EOFError, OSError):
                    if process.pipe.poll(self._seconds):
                        result = process.pipe.recv()
                        process.answered()
                        return result
                    self._replace(number)
                    raise Failed(f"decoding it took more than {self._seconds:.0f} s")
                if self._closed:
                    break
                self._replace(number)
            raise Failed(CRASHED)
        finally:
            self._idle.put(number)

    def _replace(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number] = _Process(self._function)


class _Process:
    """A process that calls a function for items, one after the other.

    Attributes:
      pipe: from which its answers come, in order.
      given: (number, item) of those without an answer yet.
    """

    def __init__(self, function: Callable):
        # Forked from a server that has imported the function's module and no TensorFlow, which
        # would cost each process three seconds and half a gigabyte.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([getattr(function, "func", function).__module__])
        self.pipe, child_pipe = context.Pipe()
        self.given: deque[tuple[int, Any]] = deque()
        self._process = context.Process(target=_work, args=(child_pipe, function), daemon=True)
        with _without_main():
            self._process.start()
        child_pipe.close()
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since it began with its first item without an answer."""
        return time.monotonic() - self._since

    def give(self, number: int, item: Any) -> None:
        """Gives it another item."""
        if not self.given:
            self._since = time.monotonic()
        self.given.append((number, item))
        with suppress(OSError):  # a dead process is noticed where its answers are read
            self.pipe.send(item)

    def answered(self) -> None:
        """Notes that the first item was answered."""
        self.given.popleft()
        self._since = time.monotonic()

    def kill(self) -> None:
        """Ends it at once, whatever it is at."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


@contextmanager
def _without_main() -> Iterator[None]:
    """Keeps a new process from running the user's script again, of which it needs nothing."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _work(pipe: connection.Connection, function: Callable) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = MOST_BYTES if most == resource.RLIM_INFINITY else min(MOST_BYTES, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with suppress(EOFError, OSError):  # that process has ended
        while True:
            pipe.send(function(pipe.recv()))
