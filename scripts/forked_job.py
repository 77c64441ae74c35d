"""A training job whose workers are forked from this process, to be killed and started again.

To start one costs little: this process has imported all that a job needs, without running an
operation of TensorFlow.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from etils import epath
from ml_collections import ConfigDict

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.commands import program
from trainer.commands.command import Command
from trainer.distribute.local_workers import cluster_variables
from trainer.show.logger import Logger
from trainer.system import errors
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.step import LoopResult

# A job that is to be killed pauses so long after each loop beyond the step where that is due, so
# that kills come at their steps also where this process seldom gets its turn.
PAUSE_SECONDS = 0.2


class Failure(errors.ExitError):
    """What the job should not have done."""


class Worker:
    """A process forked from this one.

    Attributes:
      code: how it ended, negative for a signal that killed it; None until then.
      log: what it writes.
    """

    def __init__(self, log: Path, environment: dict[str, str], main: Callable[[], object]):
        self.log = log
        self.code: int | None = None
        log.write_text("")
        sys.stdout.flush()  # else the child would print it once more
        self._pid = os.fork()
        if self._pid == 0:
            output = os.open(log, os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.update(environment)
            program.run(lambda _: main(), Command(), parse=lambda argv: argv[:1])

    def ended(self) -> bool:
        """Returns whether the process is gone."""
        if self.code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def is_training(self) -> bool:
        """Returns whether it has said what it trains; the chief does when all have joined."""
        return " parameters, " in self.log.read_text()

    def kill(self, number: int) -> None:
        """Sends a signal, unless the process has ended."""
        if not self.ended():
            os.kill(self._pid, number)


class Brake(Logger):
    """Slows a job down once it has taken some steps."""

    def __init__(self, after: int):
        self._after = after

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Pauses, if this loop was beyond that step."""
        del result, timer
        if progress.step >= self._after:
            time.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class Job:
    """A run that is started as often as need be.

    Attributes:
      patience: how many seconds it may take to get to where it is waited for.
    """

    config: ConfigDict
    workdir: Path
    workers: int
    steps: int
    patience: float

    @contextmanager
    def started(self, loggers: Sequence[Logger] = ()) -> Iterator[list[Worker]]:
        """Starts every worker, to go on where the run stands; leaves none behind."""
        workers = [
            Worker(
                self.workdir.with_name(f"{self.workdir.name}-worker-{index}.log"),
                environment,
                lambda: train.train_and_evaluate(self.config, self.workdir, loggers=loggers),
            )
            for index, environment in enumerate(
                cluster_variables(self.workers) if self.workers > 1 else [{}]
            )
        ]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.kill(signal.SIGKILL)

    def finish(self) -> float:
        """Runs it to its end, and returns the seconds that the first checkpoint took."""
        began, saved = time.monotonic(), self.saved()
        with self.started() as workers:
            self.wait(lambda: self.saved() > saved or any(w.ended() for w in workers))
            seconds = time.monotonic() - began
            self.wait(lambda: all([w.ended() for w in workers]))
        if any(w.code for w in workers):
            raise Failure(f"a run that nobody killed ended with {[w.code for w in workers]}")
        return seconds

    def wait(self, until: Callable[[], bool]) -> None:
        """Returns once `until()` holds.

        Raises:
          Failure: if it does not come to hold.
        """
        began = time.monotonic()
        while not until():
            if time.monotonic() - began > self.patience:
                raise Failure(
                    f"a job is stuck for {self.patience} s: on a busy machine raise --patience"
                )
            time.sleep(0.005)

    def saved(self) -> int:
        """Returns the step of the newest checkpoint, -1 before the first."""
        whole_ones = checkpoint.complete(epath.Path(self.workdir) / "checkpoints")
        return checkpoint.step_and_epoch(whole_ones[-1])[0] if whole_ones else -1

    def saving(self) -> bool:
        """Returns whether there is half a checkpoint."""
        folders = (self.workdir / "checkpoints").glob("step-*")
        return any(not (folder / checkpoint.MANIFEST).exists() for folder in folders)
