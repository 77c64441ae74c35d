"""Examples of one label from the highest score down, measured under any weights at little cost."""

from collections.abc import Sequence

import numpy as np


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
        falling = -scores[self.order].astype(np.float64)
        self._positive = np.flatnonzero(labels[self.order])
        ranked = falling[self._positive]
        # Where the ties of each positive begin and end, among all examples and among positives.
        self._ties, self._positive_ties = (
            (np.searchsorted(among, ranked, "left"), np.searchsorted(among, ranked, "right"))
            for among in (falling, ranked)
        )
        # How many examples, and how many positives, reach each threshold.
        self._reached = [
            [int(np.searchsorted(among, -threshold, "right")) for among in (falling, ranked)]
            for threshold in thresholds
        ]

    def measure(self, counts: np.ndarray) -> list[float]:
        """Returns the areas under two curves, and three rates at each threshold.

        The areas are the Mann-Whitney AUC, ties counting half, and the average precision: the
        precision at each threshold weighted by the recall that it adds. NaN is undefined: an area
        where one class has no example, a rate of no examples.

        Args:
          counts: [n] whole numbers, how often each example counts, in the ranking's order.

        Returns:
          AUC, average precision, then accuracy, sensitivity and specificity at each threshold.
        """
        weights = counts.take(self._positive)
        every, found = _sums(counts), _sums(weights)
        positives, negatives = found[-1], every[-1] - found[-1]
        (every_above, every_tied), (found_above, found_tied) = (
            [sums.take(place) for place in ties]
            for sums, ties in ((every, self._ties), (found, self._positive_ties))
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            # Twice the negatives above each positive: those that are tied with it count half.
            above = (every_above - found_above) + (every_tied - found_tied)
            pairs = 2.0 * positives * negatives
            auc = (pairs - np.multiply(weights, above, dtype=np.float64).sum()) / pairs
            precision = found_tied / np.maximum(every_tied, 1)
            average = (weights * precision).sum() / positives if negatives else np.nan
            rates = []
            for reached, reached_positives in self._reached:
                hits = found[reached_positives]
                cleared = negatives - (every[reached] - hits)
                accuracy = (hits + cleared) / every[-1]
                rates += [accuracy, hits / positives, cleared / negatives]
        return [auc, average, *rates]


def _sums(counts: np.ndarray) -> np.ndarray:
    """Returns the sum of the first k counts, for k from 0 to n: [n + 1] int32."""
    sums = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=sums[1:])
    return sums
