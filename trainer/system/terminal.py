"""Progress in the terminal: a live line, a bar, durations."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from trainer.system.printable import printable, printable_lines

BAR = 12  # columns
STYLES = {"red": "\x1b[31m", "yellow": "\x1b[33m", "bold": "\x1b[1m"}
TERMINAL_SECONDS = 0.2  # between two live lines


def coloured(text: str, style: str, out: TextIO | None) -> str:
    """Returns text in a style of `STYLES`, if `out` is a terminal and NO_COLOR is not set."""
    plain = out is None or not out.isatty() or os.environ.get("TERM") == "dumb"
    return text if plain or os.environ.get("NO_COLOR") else f"{STYLES[style]}{text}\x1b[0m"


def aligned(lines: Sequence[Sequence[str]], *, left: int = 0) -> str:
    """Returns printable cells as columns: the first `left` begin alike, the others end alike."""
    lines = [[*map(printable, line)] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = (
        [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    )
    return "\n".join("  ".join(row).rstrip() for row in rows)


class LiveLine:
    """A line that is rewritten, below lines that stay.

    Outside a terminal, as in a log file, it is written as a new line now and then, without
    control characters.

    Args:
      out: where it is shown; stdout if None.
      quiet: shows nothing at all.
      every_seconds: time between two lines where `out` is not a terminal.
    """

    def __init__(self, out: TextIO | None = None, quiet: bool = False, every_seconds: float = 60.0):
        self._out = out or sys.stdout
        self._quiet = quiet or self._out is None  # None if the process has no stdout
        self._live = not self._quiet and self._out.isatty() and os.environ.get("TERM") != "dumb"
        self._every = TERMINAL_SECONDS if self._live else every_seconds
        self._shown_at = float("-inf") if self._live else time.monotonic()
        self._heading = ""

    def show(self, text: str, done: float | None = None, at_once: bool = False) -> None:
        """Shows `text` in place of the last one, unless that is too recent.

        Args:
          text: is cut to the terminal's width, so that the most important comes first.
          done: fraction that is complete, drawn as a bar in a terminal.
          at_once: shows it in a terminal however recent the last one is.
        """
        now = time.monotonic()
        if not (self._live and at_once) and now - self._shown_at < self._every:
            return
        self._shown_at = now
        text = printable(text)
        if self._live:
            text = text if done is None else f"{bar(done)} {text}"
            text = text[: shutil.get_terminal_size().columns - 1]  # in the last one it might wrap
            self._write(f"\r\x1b[K{text}")
        else:
            self._write(f"{text}\n")

    def settle(self, text: str, heading: str = "") -> None:
        """Writes a line that stays, below a heading unless it has the same as the last one."""
        lines = f"{printable_lines(text)}\n"
        if heading and heading != self._heading:
            lines = f"{heading}\n{lines}"
        self._heading = heading
        if not self._live:
            self._shown_at = time.monotonic()
        self._write(f"\r\x1b[K{lines}" if self._live else lines)

    def clear(self) -> None:
        """Erases the live line, before something else is written to the terminal."""
        if self._live:
            self._write("\r\x1b[K")

    def __enter__(self) -> "LiveLine":
        return self

    def __exit__(self, *error: object) -> None:
        self.clear()

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._out.write(text)
            self._out.flush()


def bar(done: float) -> str:
    """Returns a bar filled to the fraction `done`."""
    filled = round(BAR * min(max(done, 0.0), 1.0))
    return f"[{'#' * filled}{'.' * (BAR - filled)}]"


def clock(seconds: float) -> str:
    """Returns a duration as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
