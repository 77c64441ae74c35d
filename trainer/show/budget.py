"""How much time may go into looking at a run while it trains."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Budget:
    """Keeps what is spent below a share of the time since it began.

    Args:
      share: of all time, 0 to 1.
      clock: seconds that only grow.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.perf_counter):
        self._share, self._clock = share, clock
        self._began, self._spent = clock(), 0.0

    @property
    def spent_share(self) -> float:
        """The share of the time that was spent."""
        return self._spent / max(self._clock() - self._began, 1e-9)

    @property
    def left(self) -> bool:
        """Whether something may be spent now."""
        return self.spent_share < self._share

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Counts the time inside as spent."""
        began = self._clock()
        try:
            yield
        finally:
            self._spent += self._clock() - began
