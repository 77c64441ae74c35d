"""Examples of one label from the highest score down, measured under any weights at little cost."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Sums(NamedTuple):
    """How many examples the first ranks count for.

    Attributes:
      every: [n + 1] int32, of the first 0 to n examples.
      found: [p + 1] int32, of the first 0 to p positives.
    """

    every: np.ndarray
    found: np.ndarray

    @property
    def positives(self) -> int:
        """How many positives there are."""
        return self.found[-1]

    @property
    def negatives(self) -> int:
        """How many negatives there are."""
        return self.every[-1] - self.found[-1]


class Ranking:
    """The examples of one label, sorted once; what they count may differ from call to call.

    Args:
      labels: [n] bool.
      scores: [n] float, such as logits; equal ones are ties.
      thresholds: scores from which on an example is predicted positive.

    Attributes:
      order: [n] int, the numbers of the examples from the highest score down.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, thresholds: Sequence[float] = ()):
        self.order = np.argsort(-scores, kind="stable")
        self._falling = falling = -scores[self.order].astype(np.float64)
        self._positive = np.flatnonzero(labels[self.order])
        self._ranked = ranked = falling[self._positive]
        # Where the ties of each positive begin and end, among all examples and among positives.
        self._ties, self._positive_ties = (
            (np.searchsorted(among, ranked, "left"), np.searchsorted(among, ranked, "right"))
            for among in (falling, ranked)
        )
        self._reached = self.reached(thresholds)

    def reached(self, thresholds: Sequence[float] | np.ndarray) -> np.ndarray:
        """Returns how many examples, and how many positives, reach each threshold: [2, t] int."""
        limits = -np.asarray(thresholds, np.float64)
        return np.stack(
            [np.searchsorted(a, limits, "right") for a in (self._falling, self._ranked)]
        )

    def cuts(self) -> np.ndarray:
        """Returns `reached` of every different score, and first of none: [2, 1 + d] int."""
        return np.insert(self.reached(-np.unique(self._falling)), 0, 0, axis=1)

    def sums(self, counts: np.ndarray) -> Sums:
        """Returns the sums of what the examples count.

        Args:
          counts: [n] whole numbers, how often each example counts, in the ranking's order.
        """
        return Sums(_sums(counts), _sums(counts.take(self._positive)))

    def areas(self, counts: np.ndarray, sums: Sums) -> tuple[float, float]:
        """Returns the Mann-Whitney AUC, ties counting half, and the average precision.

        The latter is the precision at each threshold weighted by the recall that it adds. Both are
        NaN where one class has no example.

        Args:
          counts: as for `sums`.
          sums: of these counts.
        """
        (every_above, every_tied), (found_above, found_tied) = (
            [part.take(place) for place in ties]
            for part, ties in zip(sums, (self._ties, self._positive_ties), strict=True)
        )
        weights, positives, negatives = counts.take(self._positive), sums.positives, sums.negatives
        with np.errstate(invalid="ignore", divide="ignore"):
            # Twice the negatives above each positive: those that are tied with it count half.
            above = (every_above - found_above) + (every_tied - found_tied)
            pairs = 2.0 * positives * negatives
            auc = (pairs - np.multiply(weights, above, dtype=np.float64).sum()) / pairs
            precision = found_tied / np.maximum(every_tied, 1)
            average = (weights * precision).sum() / positives if negatives else np.nan
        return auc, average

    def measure(self, counts: np.ndarray) -> list[float]:
        """Returns the areas under two curves, and three rates at each threshold.

        NaN is undefined: an area where one class has no example, a rate of no examples.

        Args:
          counts: as for `sums`.

        Returns:
          AUC, average precision, then accuracy, sensitivity and specificity at each threshold.
        """
        sums, rates = self.sums(counts), list[float]()
        with np.errstate(invalid="ignore", divide="ignore"):
            for reached, reached_positives in self._reached.T:
                hits = sums.found[reached_positives]
                cleared = sums.negatives - (sums.every[reached] - hits)
                accuracy = (hits + cleared) / sums.every[-1]
                rates += [accuracy, hits / sums.positives, cleared / sums.negatives]
        return [*self.areas(counts, sums), *rates]


def _sums(counts: np.ndarray) -> np.ndarray:
    """Returns the sum of the first k counts, for k from 0 to n: [n + 1] int32."""
    sums = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=sums[1:])
    return sums
