"""What a person sees in the terminal while a run goes on."""

import sys
import time
from typing import TextIO


class LiveLine:
    """A line that is rewritten in a terminal, and repeated every ten seconds elsewhere."""

    def __init__(self, out: TextIO = sys.stdout, every_seconds: float = 10.0):
        self._out = out
        self._live = out.isatty()
        self._every = 0.2 if self._live else every_seconds
        self._shown_at = float("-inf")

    def show(self, text: str) -> None:
        """Shows `text` unless the last one is too recent."""
        now = time.monotonic()
        if now - self._shown_at < self._every:
            return
        self._shown_at = now
        self._out.write(f"\r\x1b[K{text}" if self._live else f"{text}\n")
        self._out.flush()

    def settle(self, text: str) -> None:
        """Writes a line that stays."""
        self._out.write(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")
        self._out.flush()


def clock(seconds: float) -> str:
    """Returns a duration as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
