"""The length of a training loop in steps and when to save, agreed by all workers."""

import math
import time

from trainer.distribute.preemption import SIGNALS, StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped

# A stop signal and the terminal's next line wait for the end of a loop.
LOOP_SECONDS = 2.0


class LoopTimer:
    """Makes loops last some two seconds, and ends the run on all workers if one has to stop.

    Attributes:
      seconds_a_step: duration of a step on the chief.
      checkpoint_due: whether the last checkpoint is older by the chief's clock than allowed.

    Args:
      replicas: whose workers agree after each loop.
      signals: the stop signals that this worker received.
      checkpoint_minutes: largest age of the last checkpoint; 0 is without a limit.
    """

    def __init__(self, replicas: Replicas, signals: StopSignals, checkpoint_minutes: float = 0):
        self._replicas, self._signals = replicas, signals
        self._checkpoint_seconds = 60 * checkpoint_minutes or math.inf
        self.begin_checkpoint()
        self._loops = 0
        self.seconds_a_step = math.inf

    def begin_checkpoint(self) -> None:
        """Counts the age of the last checkpoint from now on."""
        self._saved_at, self.checkpoint_due = time.monotonic(), False

    @property
    def known(self) -> bool:
        """Whether the speed is known; the first loop also compiles."""
        return self._loops > 1

    def steps(self, most: int) -> int:
        """Returns the number of steps of the next loop, at most `most`."""
        return max(1, min(most, int(LOOP_SECONDS / self.seconds_a_step)))

    def end_loop(self, steps: int, seconds: float) -> None:
        """Records the duration of a loop; every worker calls it after every loop.

        Raises:
          Stopped: on all workers, if one of them received a stop signal.
        """
        received = [float(self._signals.received == number) for number in SIGNALS]
        decided = [0.0, 0.0]
        if self._replicas.is_chief:
            too_old = time.monotonic() - self._saved_at >= self._checkpoint_seconds
            decided = [seconds / steps, float(too_old)]
        *stops, self.seconds_a_step, due = self._replicas.sum([*received, *decided])
        self.checkpoint_due = bool(due)
        self._loops += 1
        for number, count in zip(SIGNALS, stops, strict=True):
            if count:
                raise Stopped(number)
