"""Where the wall time of a run goes, and how fast its steps are."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from trainer.training.step import LoopResult


class Speed:
    """What a session, the time between a start of a run and its end, did with its time.

    Every moment belongs to one purpose, so that the seconds sum to the wall time: what begins
    within another purpose takes its time from that one, and what has none is `other`.

    Attributes:
      flops: operations of a step on all replicas together, None where they were not counted.
      peak: operations a second of all devices together, None where that is not known.
    """

    def __init__(self) -> None:
        self._purpose, self._since = "start", time.perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._loops: list[tuple[int, float, float]] = []
        self._loop_purpose = "compilation"  # of the first
        self.flops: float | None = None
        self.peak: float | None = None

    @contextmanager
    def spent_on(self, purpose: str) -> Iterator[None]:
        """Counts the time inside for a purpose."""
        outer, self._purpose = self._turn(), purpose
        try:
            yield
        finally:
            self._turn()
            self._purpose = outer

    def begin(self) -> None:
        """Ends the start: what has no purpose from now on is `other`."""
        self._turn()
        self._purpose = "other"

    def loop(self, take: Callable[[], LoopResult], *, known: bool) -> LoopResult:
        """Takes a loop of training steps, counts its time, and returns its result.

        Args:
          take: takes the steps.
          known: whether its speed counts: the first loops also compile.
        """
        purpose, self._loop_purpose = self._loop_purpose, "training"
        with self.spent_on(purpose):
            result = take()
        self._seconds["input"] += result.wait_seconds
        self._seconds[purpose] -= result.wait_seconds
        if known:
            self._loops.append((len(result.losses), result.seconds, result.wait_seconds))
        return result

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of each purpose up to now; their sum is the wall time."""
        self._turn()
        return {name: seconds for name, seconds in self._seconds.items() if seconds}

    def share(self, purpose: str) -> float:
        """Returns the share of the wall time that a purpose took."""
        seconds = self.seconds()
        return seconds.get(purpose, 0.0) / sum(seconds.values())

    @property
    def steps(self) -> dict[str, float]:
        """Milliseconds of a step in the median loop and the 95th percentile, share of the wait.

        Loops count by their steps. Empty before the speed is known.
        """
        if not self._loops:
            return {}
        steps, seconds, waits = np.array(self._loops).T
        each = np.repeat(1000 * seconds / steps, steps.astype(int))
        median, slow = np.percentile(each, [50, 95])
        return {
            "step_milliseconds_median": float(median),
            "step_milliseconds_p95": float(slow),
            "input_wait": float(waits.sum() / seconds.sum()),
        }

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation: the share of the peak that a step reaches in the median loop."""
        if not self.flops or not self.peak or not self._loops:
            return None
        return 1000 * self.flops / self.steps["step_milliseconds_median"] / self.peak

    def _turn(self) -> str:
        now = time.perf_counter()
        self._seconds[self._purpose] += now - self._since
        self._since = now
        return self._purpose
