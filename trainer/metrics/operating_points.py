"""Operating points: thresholds and temperatures that are chosen on validation alone."""

from typing import NamedTuple

import numpy as np
from scipy.special import log_expit
from sklearn.metrics import roc_curve

from trainer.metrics import calibration
from trainer.metrics.scores import Scores

HALF = "probability 0.5"
CHOSEN = "chosen on validation"


class OperatingPoints(NamedTuple):
    """What validation decides, so that the test split decides nothing.

    Attributes:
      thresholds: name of an operating point -> the logit from which on each label is predicted.
      temperatures: of each label; it calibrates the probability.
    """

    thresholds: dict[str, list[float]]
    temperatures: list[float]


def choose(validation: Scores, augmented: Scores | None = None) -> OperatingPoints:
    """Returns probability 0.5, the best threshold on validation, and the temperatures.

    Args:
      validation: of its images as they are.
      augmented: of its images as training saw them, on which the threshold is chosen then: where
        validation is easier than what is to come, nearly any threshold is right on it, and the
        best one a matter of a few images.
    """
    seen = validation if augmented is None else augmented
    columns = zip(seen.logits.T, seen.labels.T, strict=True)
    best = [youden_threshold(logits, labels) for logits, labels in columns]
    thresholds = {HALF: [0.0] * len(best), CHOSEN: best}
    return OperatingPoints(thresholds, calibration.temperatures(validation))


def youden_threshold(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the threshold with the largest sensitivity + specificity (Youden, Cancer 1950).

    Its probability is halfway between those of two neighbours, so that rounding moves no example
    over it.

    Args:
      logits: [n] float.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.

    Returns:
      A logit; 0 where one class is missing.
    """
    logits, positive = logits[labels >= 0].astype(np.float64), labels[labels >= 0] > 0.5
    if positive.all() or not positive.any():
        return 0.0
    false_positive, true_positive, thresholds = roc_curve(positive, logits)
    above = thresholds[np.argmax(true_positive - false_positive)]
    below = logits[logits < above]
    return _halfway(above, below.max() if below.size else -np.inf)


def _halfway(logit: float, other: float) -> float:
    """Returns the logit of the mean of two probabilities, also where they round to 0 or 1."""
    both = np.array([logit, other])
    return float(np.logaddexp(*log_expit(both)) - np.logaddexp(*log_expit(-both)))
