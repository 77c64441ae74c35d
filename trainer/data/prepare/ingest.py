"""A source's files, read, checked and re-coded by many processes, in order and bounded in memory.

Processes and not threads: a file that crashes its decoder or never comes to an end costs its own
process alone, and small images are half again as slow on threads, which wait for one another.
"""

import hashlib
import multiprocessing
import signal
import sys
import time
import types
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import connection

from trainer.data import duplicates
from trainer.data.decode import radiograph
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system.errors import CannotWrite

AHEAD = 64  # records for each process that are being examined or wait to be yielded
SECONDS = 60.0  # limit for one file
POLL_SECONDS = 1.0
GATHER_SECONDS = 0.002  # several answers at once cost less than each by itself
MOST_KILLED = 8  # processes in a row
FINGERPRINT_SIDE = 128  # pixels


@dataclass(frozen=True)
class DecodeOptions:
    """How files become images: `radiograph.recode`'s arguments."""

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
    """

    image: bytes = b""
    digest: bytes = b""
    fingerprint: bytes = b""
    reason: str = ""


def examine(source: Source, options: DecodeOptions, record: ImageRecord) -> ExaminedFile:
    """Reads, checks and re-codes one file."""
    if record.refused:
        return ExaminedFile(reason=record.refused)
    try:
        data = source.read(record)
        image = radiograph.recode(data, options.max_side, options.any_view, uniform=options.uniform)
    except radiograph.Unreadable as reason:
        return ExaminedFile(reason=str(reason))
    except OSError as error:
        return ExaminedFile(reason=f"cannot be read: {error.strerror or error}")
    fingerprint = b""
    if not record.patient:
        fingerprint = duplicates.fingerprint(radiograph.decode(image, FINGERPRINT_SIDE))
    return ExaminedFile(image, hashlib.sha256(data).digest(), fingerprint)


def examine_all(
    source: Source,
    records: Iterable[ImageRecord],
    options: DecodeOptions,
    *,
    workers: int,
    seconds: float = SECONDS,
) -> Iterator[ExaminedFile]:
    """Yields the result of each record, in order, a bounded number ahead.

    A file whose decoding ends its process, or takes longer than `seconds`, is reported as such in
    `reason`.

    Raises:
      CannotWrite: if processes are killed whatever they decode.
    """
    waiting = enumerate(records)
    results: dict[int, ExaminedFile] = {}
    yielded = killed = 0
    team = [_Process(source, options) for _ in range(workers)]
    try:
        while True:
            room = workers * AHEAD - len(results) - sum(len(process.given) for process in team)
            for number, record in islice(waiting, room):
                min(team, key=lambda process: len(process.given)).give(number, record)
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
                    reason = "decoding it ended its process (a crash, or too little memory)"
                    killed += 1
                if process.given and process.seconds > seconds:
                    reason = f"decoding it took more than {seconds:.0f} s"
                if reason:
                    (number, _), *others = process.given
                    results[number] = ExaminedFile(reason=reason)
                    process.kill()
                    team[place] = _Process(source, options)
                    for other in others:
                        team[place].give(*other)
            if killed >= MOST_KILLED:
                raise CannotWrite(
                    f"the processes that decode are killed, {killed} in a row: is there enough "
                    "memory? Fewer --workers take less."
                )
            while yielded in results:
                yield results.pop(yielded)
                yielded += 1
    finally:
        for process in team:
            process.kill()


class _Process:
    """A process that examines records one after the other.

    Attributes:
      pipe: from which its answers come, in order.
      given: (number, record) of those without an answer yet.
    """

    def __init__(self, source: Source, options: DecodeOptions):
        # Forked from a server that has imported this module and no TensorFlow, which would cost
        # each process three seconds and half a gigabyte.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self.pipe, child_pipe = context.Pipe()
        self.given: deque[tuple[int, ImageRecord]] = deque()
        self._process = context.Process(
            target=_work, args=(child_pipe, source, options), daemon=True
        )
        with _without_main():
            self._process.start()
        child_pipe.close()
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time since it began with its first record without an answer."""
        return time.monotonic() - self._since

    def give(self, number: int, record: ImageRecord) -> None:
        """Gives it another record to examine."""
        if not self.given:
            self._since = time.monotonic()
        self.given.append((number, record))
        with suppress(OSError):  # a dead process is noticed where its answers are read
            self.pipe.send(record)

    def answered(self) -> None:
        """Notes that the first record was answered."""
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


def _work(pipe: connection.Connection, source: Source, options: DecodeOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    with suppress(EOFError, OSError):  # that process has ended
        while True:
            pipe.send(examine(source, options, pipe.recv()))
