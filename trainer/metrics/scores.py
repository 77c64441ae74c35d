"""Logits and labels of examples."""

from typing import NamedTuple

import numpy as np

from trainer.metrics.outputs import INDEPENDENT, IndependentLabels


class Scores(NamedTuple):
    """Logits and labels of n examples with K labels, on the host.

    Attributes:
      logits: [n, K] float32, the log-odds of each label against all others.
      labels: [n, K] float32: 1, 0, or -1 where it is not known.
      weights: [n] float32, 0 for the padding of the last batch.
      outputs: what the labels are.
    """

    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    outputs: IndependentLabels = INDEPENDENT

    @classmethod
    def from_columns(
        cls, columns: np.ndarray, outputs: IndependentLabels = INDEPENDENT
    ) -> "Scores":
        """Returns the scores of what a network gave, [n, 2 K + 1]: outputs, labels and weights."""
        logits, labels = np.split(columns[:, :-1], 2, axis=1)
        return cls(outputs.log_odds(logits), labels, columns[:, -1], outputs)

    def columns(self) -> np.ndarray:
        """Returns logits, labels and weights in one array, [n, 2 K + 1] float32."""
        return np.concatenate([self.logits, self.labels, self.weights[:, None]], axis=1)

    def without_padding(self) -> "Scores":
        """Returns the examples that do not merely fill up the last batch."""
        return self.take(self.weights > 0)

    def take(self, which: np.ndarray) -> "Scores":
        """Returns the examples that an index of NumPy names."""
        return Scores(self.logits[which], self.labels[which], self.weights[which], self.outputs)
