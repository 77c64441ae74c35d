"""What the K outputs of a network mean: labels of their own, or classes that exclude one another.

Everything after the network works on the log-odds of each label against all others, log(p / (1 -
p)). Of a label of its own that is the output itself. Of a class it follows from all outputs, so
that a sigmoid of it is the softmax; curves, thresholds and calibration are then those of one class
against the rest.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import log_expit, logsumexp


class IndependentLabels:
    """Each output is the logit of a label; an image may have none of them, or several."""

    exclusive = False

    def log_odds(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the log-odds of each label, [n, K] float32, of a network's outputs, likewise."""
        return outputs

    def decide(self, log_odds: np.ndarray) -> np.ndarray:
        """Returns which labels are more likely than not, or which class is likeliest: [n, K]."""
        return log_odds >= 0

    def calibrated(self, log_odds: np.ndarray, temperatures: Sequence[float]) -> np.ndarray:
        """Returns the log-odds at the temperatures, [n, K]."""
        return log_odds / np.asarray(temperatures, log_odds.dtype)

    def whole(self, log_odds: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """Returns the metrics of an image as a whole, which are no means over the labels."""
        return {}

    def balanced_weights(self, counts: np.ndarray) -> np.ndarray:
        """Returns weights by which each class counts as much in all: [2, K], negatives first.

        Args:
          counts: [K, 2] examples where a label is positive, and negative.
        """
        by_class = counts.astype(np.float32).T[::-1]
        return by_class.sum(0) / (2 * np.maximum(by_class, 1))


class ExclusiveClasses(IndependentLabels):
    """Each output is one of K classes, by a softmax; an image is of exactly one."""

    exclusive = True

    def log_odds(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the log-odds of each class against the others together."""
        logits = outputs.astype(np.float64)
        others = [logsumexp(np.delete(logits, k, 1), axis=1) for k in range(logits.shape[1])]
        return (logits - np.stack(others, 1)).astype(np.float32)

    def decide(self, log_odds: np.ndarray) -> np.ndarray:
        """Returns the likeliest class, the first of equal ones."""
        return np.arange(log_odds.shape[1]) == log_odds.argmax(1)[:, None]

    def calibrated(self, log_odds: np.ndarray, temperatures: Sequence[float]) -> np.ndarray:
        """Returns the log-odds at the one temperature."""
        return self.log_odds(log_expit(log_odds.astype(np.float64)) / temperatures[0])

    def whole(self, log_odds: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
        """Returns the cross-entropy, and the share of images whose likeliest class is right."""
        true = labels > 0.5
        right = self.decide(log_odds)[true]
        accuracy = float(right.mean()) if right.size else None
        return {"loss": log_loss(log_odds[true], np.ones(right.size, bool)), "accuracy": accuracy}

    def balanced_weights(self, counts: np.ndarray) -> np.ndarray:
        """Returns weights by which each of the K classes counts as much in all."""
        images = counts[:, 0].astype(np.float32)
        weights = images.sum() / (len(images) * np.maximum(images, 1))
        return np.stack([np.ones_like(weights), weights])


INDEPENDENT, EXCLUSIVE = IndependentLabels(), ExclusiveClasses()


def log_loss(logits: np.ndarray, positive: np.ndarray) -> float | None:
    """Returns the mean cross-entropy, None without examples.

    Args:
      logits: [n] float.
      positive: [n] bool, the true label.
    """
    if not positive.size:
        return None
    signed = np.where(positive, logits, -logits).astype(np.float64)
    return float(np.logaddexp(0, -signed).mean())
