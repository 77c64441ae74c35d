"""Logits and labels of examples."""

from typing import NamedTuple

import numpy as np


class Scores(NamedTuple):
    """Logits and labels of n examples with K labels, on the host.

    Attributes:
      logits: [n, K] float32.
      labels: [n, K] float32: 1, 0, or -1 where it is not known.
      weights: [n] float32, 0 for the padding of the last batch.
    """

    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    @classmethod
    def from_columns(cls, columns: np.ndarray) -> "Scores":
        """Returns the scores whose `columns()` are given, [n, 2 K + 1]."""
        logits, labels = np.split(columns[:, :-1], 2, axis=1)
        return cls(logits, labels, columns[:, -1])

    def columns(self) -> np.ndarray:
        """Returns logits, labels and weights in one array, [n, 2 K + 1] float32."""
        return np.concatenate([self.logits, self.labels, self.weights[:, None]], axis=1)

    def without_padding(self) -> "Scores":
        """Returns the examples that do not merely fill up the last batch."""
        real = self.weights > 0
        return Scores(self.logits[real], self.labels[real], self.weights[real])
