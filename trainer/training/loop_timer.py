"""The length of a training loop in steps and when to save, agreed by all workers."""

import math
import time
from typing import NamedTuple

import numpy as np

from trainer.distribute.preemption import SIGNALS, StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped

# A stop signal and the terminal's next line wait for the end of a loop.
LOOP_SECONDS = 2.0


class Straggler(NamedTuple):
    """The worker that waited longest for its input in a loop, while the others waited for it.

    Attributes:
      worker: its number.
      seconds: duration of its loop.
      wait: share of it spent waiting for input.
      cost: share of the loop that the worker which waited least has lost by it.
    """

    worker: int
    seconds: float
    wait: float
    cost: float


class LoopTimer:
    """Makes loops last some two seconds, and ends the run on all workers if one has to stop.

    Attributes:
      seconds_a_step: duration of a step on the chief.
      slowest: in the last loop; None before it, and of a single worker.
      checkpoint_due: whether the last checkpoint is older by the chief's clock than allowed.
      evaluation_due: the same of the last evaluation.

    Args:
      replicas: whose workers agree after each loop.
      signals: the stop signals that this worker received.
      checkpoint_minutes: largest age of the last checkpoint; 0 is without a limit.
      evaluation_minutes: the same of the last evaluation.
    """

    def __init__(
        self,
        replicas: Replicas,
        signals: StopSignals,
        checkpoint_minutes: float = 0,
        *,
        evaluation_minutes: float = 0,
    ):
        self._replicas, self._signals = replicas, signals
        self._checkpoint_seconds = 60 * checkpoint_minutes or math.inf
        self._evaluation_seconds = 60 * evaluation_minutes or math.inf
        self.begin_checkpoint()
        self.begin_evaluation()
        self._loops = 0
        self.seconds_a_step = math.inf
        self.slowest: Straggler | None = None

    def begin_checkpoint(self) -> None:
        """Counts the age of the last checkpoint from now on."""
        self._saved_at, self.checkpoint_due = time.monotonic(), False

    def begin_evaluation(self) -> None:
        """Counts the age of the last evaluation from now on."""
        self._evaluated_at, self.evaluation_due = time.monotonic(), False

    @property
    def known(self) -> bool:
        """Whether the speed is known; the first loop also compiles."""
        return self._loops > 1

    def steps(self, most: int) -> int:
        """Returns the number of steps of the next loop, at most `most`."""
        return max(1, min(most, int(LOOP_SECONDS / self.seconds_a_step)))

    def end_loop(self, steps: int, seconds: float, wait_seconds: float = 0.0) -> None:
        """Records a loop; every worker calls it after every loop.

        Args:
          steps: that it took.
          seconds: its duration on this worker.
          wait_seconds: the part of it spent waiting for input.

        Raises:
          Stopped: on all workers, if one of them received a stop signal.
        """
        received = [float(self._signals.received == number) for number in SIGNALS]
        decided = [0.0, 0.0, 0.0]
        if self._replicas.is_chief:
            now = time.monotonic()
            save = now - self._saved_at >= self._checkpoint_seconds
            evaluate = now - self._evaluated_at >= self._evaluation_seconds
            decided = [seconds / steps, float(save), float(evaluate)]
        times = np.zeros((self._replicas.workers, 2))
        times[self._replicas.worker] = seconds, wait_seconds
        agreed = self._replicas.sum([*received, *decided, *times.ravel()])
        *stops, self.seconds_a_step, save_due, evaluate_due = agreed[: len(SIGNALS) + 3]
        self.checkpoint_due, self.evaluation_due = bool(save_due), bool(evaluate_due)
        if self._replicas.workers > 1:
            self.slowest = _slowest(*agreed[len(SIGNALS) + 3 :].reshape(times.shape).T)
        self._loops += 1
        for number, count in zip(SIGNALS, stops, strict=True):
            if count:
                raise Stopped(number)


def _slowest(seconds: np.ndarray, waits: np.ndarray) -> Straggler:
    """Returns the straggler among workers by their loop's duration and their wait, [workers]."""
    worker = int(waits.argmax())
    cost = (waits.max() - waits.min()) / seconds.max()
    return Straggler(worker, float(seconds[worker]), float(waits[worker] / seconds[worker]), cost)
