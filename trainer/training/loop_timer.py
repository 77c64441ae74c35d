"""The length of a training loop in steps, agreed by all workers."""

import math

from trainer.distribute.preemption import SIGNALS, StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped

# A stop signal and the terminal's next line wait for the end of a loop.
LOOP_SECONDS = 2.0


class LoopTimer:
    """Makes loops last some two seconds, and ends the run on all workers if one has to stop.

    Args:
      replicas: whose workers agree after each loop.
      signals: the stop signals that this worker received.
    """

    def __init__(self, replicas: Replicas, signals: StopSignals):
        self._replicas, self._signals = replicas, signals
        self._loops = 0
        self.seconds_a_step = math.inf

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
        chief_speed = seconds / steps if self._replicas.is_chief else 0.0
        *stops, self.seconds_a_step = self._replicas.sum([*received, chief_speed])
        self._loops += 1
        for number, count in zip(SIGNALS, stops, strict=True):
            if count:
                raise Stopped(number)
