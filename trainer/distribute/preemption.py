"""Stop signals: recorded at once, obeyed between two loops by all workers together."""

import os
import signal
import socket
import threading
import time
from types import TracebackType
from typing import Any

from trainer.system.errors import Stopped

# SIGTERM comes from schedulers and from clouds that take a machine back, SIGINT from Ctrl-C,
# SIGUSR1 from Slurm ahead of the time limit (--signal=USR1@60).
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class StopSignals:
    """Records stop signals inside its `with` block; a second SIGINT ends the process at once.

    A thread reads them, since Python's handlers wait while a loop runs in TensorFlow. Outside of
    the main thread, where Python takes no handlers, none is recorded.

    Attributes:
      received: the first signal, or None.

    Args:
      most_seconds: after which the process ends though the block has not: a bucket that does not
        answer must not keep it until it is killed. None waits for ever.
    """

    def __init__(self, most_seconds: float | None = None):
        self._most_seconds = most_seconds
        self._ended, self._arrived = threading.Event(), threading.Event()
        self._previous: dict[int, Any] = {}
        self.received: signal.Signals | None = None
        self._received_at = 0.0

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, writer = socket.socketpair()
        writer.setblocking(False)
        self._writer = writer
        self._previous = {number: signal.signal(number, _ignore) for number in SIGNALS}
        self._previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if not self._previous:
            return
        signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._writer.close()  # ends the thread

    @property
    def seconds(self) -> float:
        """Seconds since the signal was received."""
        return time.monotonic() - self._received_at

    def sleep(self, seconds: float) -> None:
        """Waits before training has begun; raises Stopped at a signal, with nothing to save."""
        if self._arrived.wait(seconds):
            assert self.received is not None
            raise Stopped(self.received)

    def _read(self) -> None:
        with self._reader:
            while numbers := self._reader.recv(16):
                for number in numbers:
                    self._take(number)

    def _take(self, number: int) -> None:
        if number not in SIGNALS:
            return
        if self.received is not None and number == signal.SIGINT:
            os._exit(128 + number)
        if self.received is None:
            self._received_at = time.monotonic()
            self.received = signal.Signals(number)
            self._arrived.set()
            if self._most_seconds is not None:
                threading.Thread(target=self._give_up, daemon=True).start()

    def _give_up(self) -> None:
        assert self.received is not None and self._most_seconds is not None
        if not self._ended.wait(self._most_seconds):
            sentence = (
                f"stopped: by {self.received.name}, and {self._most_seconds:g} s later not all was "
                "saved; the same command goes on from the newest checkpoint.\n"
            )
            os.write(2, sentence.encode())
            os._exit(128 + self.received)


def _ignore(number: int, frame: object) -> None:
    """Replaces the default action; the thread reads the signal's number."""
