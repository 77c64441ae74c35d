"""How many steps a loop takes before Python looks again: agreed by all workers."""

import math

from trainer.distribute.preemption import SIGNALS, StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped

# The terminal, and a stop signal, wait for the end of a loop.
LOOP_SECONDS = 2.0


class LoopTimer:
    """Makes loops last some two seconds, and ends the run where a worker was told to stop.

    Args:
      replicas: whose workers agree after each loop.
      signals: those that this worker got.
    """

    def __init__(self, replicas: Replicas, signals: StopSignals):
        self._replicas, self._signals = replicas, signals
        self._loops = 0
        self.seconds_a_step = math.inf

    @property
    def known(self) -> bool:
        """Whether a loop has been timed that did not compile."""
        return self._loops > 1

    def steps(self, most: int) -> int:
        """Returns how many steps the next loop takes, at most `most`."""
        return max(1, min(most, int(LOOP_SECONDS / self.seconds_a_step)))

    def end_loop(self, steps: int, seconds: float) -> None:
        """Notes what the loop took; every worker calls it after every loop.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
        """
        received = [float(self._signals.received == number) for number in SIGNALS]
        mine = seconds / steps if self._replicas.is_chief else 0.0
        *stops, self.seconds_a_step = self._replicas.sum([*received, mine])
        self._loops += 1
        for number, count in zip(SIGNALS, stops, strict=True):
            if count:
                raise Stopped(number)
