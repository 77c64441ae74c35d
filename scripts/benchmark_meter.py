"""The measures of `scripts/benchmark.py`: processes that count their images in turns."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO


class Meter:
    """Counts the images of a measure in its turns; between them the measure waits.

    Args:
      turns: a line of it lets the measure go on, and its end ends the process.
      answers: gets a line of JSON when the measure has warmed up, and after each turn: images,
        seconds, and what the measure notes.
      seconds: least duration of a turn.
      lead: seconds at the start of a turn that do not count, in which the batches are used up that
        were made ahead while the measure waited.
    """

    def __init__(self, turns: TextIO, answers: TextIO, *, seconds: float, lead: float):
        self._turns, self._answers = turns, answers
        self.seconds, self.lead = seconds, lead
        self._images, self._turn, self._began = 0, 0.0, 0.0

    def add(self, images: int, **notes: Any) -> None:
        """Counts images that are done, and waits where the turn is over.

        Args:
          images: number of images since the last call; those before the first warmed it up.
          notes: for the answer, if this ends the turn.
        """
        now = time.perf_counter()
        if not self._turn:
            self._wait({})
        elif not self._began:
            self._began = now if now - self._turn >= self.lead else 0.0
        else:
            self._images += images
            if now - self._began >= self.seconds:
                self._wait({"images": self._images, "seconds": now - self._began, **notes})

    def _wait(self, answer: dict) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)
        if not self._turns.readline():
            sys.exit()
        self._images, self._turn = 0, time.perf_counter()
        self._began = 0.0 if self.lead else self._turn


class Measure:
    """A measure in a process of its own, which has warmed up and waits for its turns.

    As a context it leaves no process behind, nor one that the measure has started.

    Args:
      name: of the measure.
      command: that runs it.
      log: file for what it writes.
      environment: of its process.

    Raises:
      Failed: as from `take`.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ):
        self.name, self._log = name, log
        with log.open("w") as file:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=dict(environment),
                start_new_session=True,
            )
        try:
            self.warm = self._answer()
        except BaseException:
            self._kill()
            raise

    def __enter__(self) -> "Measure":
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def take(self) -> dict:
        """Lets the measure take its turn, and returns what it answers.

        Raises:
          Failed: if its process has ended.
        """
        assert self._process.stdin
        with suppress(BrokenPipeError):  # it has ended, and its log says why
            print(file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        """Ends the process, which may take a while to close what it has opened."""
        assert self._process.stdin
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answer(self) -> dict:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            log = self._log.read_text()
            mistakes = [line for line in log.splitlines() if line.startswith("error: ")]
            raise Failed(mistakes[-1] if mistakes else log[-2000:])
        return json.loads(line)


class Failed(Exception):
    """A measure has ended early, with the end of what it wrote."""
