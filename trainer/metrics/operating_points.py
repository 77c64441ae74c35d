"""Operating points: thresholds and temperatures that are chosen on validation alone."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_curve

from trainer.metrics import calibration, classification
from trainer.metrics.scores import Scores

HALF = "probability 0.5"
CHOSEN = "chosen on validation"


class OperatingPoints(NamedTuple):
    """What validation decides, so that the test split decides nothing.

    Attributes:
      thresholds: name of an operating point -> threshold of each label.
      temperatures: of each label; it calibrates the probability.
    """

    thresholds: dict[str, list[float]]
    temperatures: list[float]


def choose(validation: Scores) -> OperatingPoints:
    """Returns probability 0.5, the best threshold on validation, and the temperatures."""
    columns = list(zip(validation.logits.T, validation.labels.T, strict=True))
    best = [
        youden_threshold(labels, classification.probabilities(logits)) for logits, labels in columns
    ]
    thresholds = {HALF: [0.5] * len(columns), CHOSEN: best}
    return OperatingPoints(thresholds, [calibration.temperature(*column) for column in columns])


def youden_threshold(labels: np.ndarray, probability: np.ndarray) -> float:
    """Returns the threshold with the largest sensitivity + specificity (Youden, Cancer 1950).

    It lies halfway between two neighbouring scores, so that rounding moves no example over it.

    Args:
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
      probability: [n] float.

    Returns:
      A threshold in 0..1; 0.5 where one class is missing.
    """
    probability, positive = probability[labels >= 0], labels[labels >= 0] > 0.5
    if positive.all() or not positive.any():
        return 0.5
    false_positive, true_positive, thresholds = roc_curve(positive, probability)
    best = int(np.argmax(true_positive - false_positive))
    above = min(thresholds[best], 1.0)
    below = probability[probability < above]
    return float((above + (below.max() if below.size else 0.0)) / 2)
