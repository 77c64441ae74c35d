"""Calibration: how well probabilities match observed frequencies, and temperature scaling."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, logsumexp, ndtri

from trainer.metrics import bootstrap, classification
from trainer.metrics.outputs import log_loss
from trainer.metrics.scores import Scores

BINS = 10
LARGEST_TEMPERATURE = 10.0  # and its inverse the smallest


class Reliability(NamedTuple):
    """Examples in bins of their probability, without empty bins; each [m] float64.

    Attributes:
      predicted: mean probability.
      observed: share of positives.
      low: of its 95 % interval.
      high: of its 95 % interval.
      count: number of examples.
    """

    predicted: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # hides the tuple's method


def temperatures(scores: Scores) -> list[float]:
    """Returns the temperature of each label; classes that exclude one another have one in common.

    Args:
      scores: of validation.
    """
    if scores.outputs.exclusive:
        return [_class_temperature(scores.logits, scores.labels)] * scores.labels.shape[1]
    return [temperature(*label) for label in zip(scores.logits.T, scores.labels.T, strict=True)]


def temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the T for which logits / T has the least log loss (Guo et al., ICML 2017).

    It is between 1/10 and 10, and 1 where one class is missing.

    Args:
      logits: [n] float, of validation.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
    """
    logits, positive = logits[labels >= 0].astype(np.float64), labels[labels >= 0] > 0.5
    if positive.all() or not positive.any():
        return 1.0

    def loss(log_temperature: float) -> float | None:
        return log_loss(logits * np.exp(-log_temperature), positive)

    return _least(loss)


def _class_temperature(log_odds: np.ndarray, labels: np.ndarray) -> float:
    """Returns the T for which the softmax of logits / T has the least cross-entropy.

    It is 1 where fewer than two of the classes have examples.
    """
    known = (labels > 0.5).any(1)
    logits, true = log_expit(log_odds[known].astype(np.float64)), labels[known] > 0.5
    if true.any(0).sum() < 2:
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((logsumexp(scaled, axis=1) - scaled[true]).mean())

    return _least(loss)


def _least(loss: Callable[[float], float | None]) -> float:
    """Returns the temperature with the least loss, a function of its logarithm."""
    bound = np.log(LARGEST_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def reliability(probability: np.ndarray, labels: np.ndarray) -> Reliability:
    """Returns how often examples with similar probabilities are positive.

    There are 10 bins of equal width; intervals are Wilson's (JASA 22:209 (1927)).

    Args:
      probability: [n] float.
      labels: [n] float or bool, 1 or 0.
    """
    number = np.minimum((probability * BINS).astype(int), BINS - 1)
    count = np.bincount(number, minlength=BINS).astype(np.float64)
    filled = count > 0
    count = count[filled]
    predicted, observed = (
        np.bincount(number, weights=values, minlength=BINS)[filled] / count
        for values in (probability, np.asarray(labels, np.float64))
    )
    z = ndtri((1 + bootstrap.CONFIDENCE) / 2)
    middle = (observed + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(observed * (1 - observed) / count + z**2 / (4 * count**2))
    half /= 1 + z**2 / count
    return Reliability(predicted, observed, middle - half, middle + half, count)


def expected_calibration_error(probability: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean distance between probability and share of positives, over 10 bins.

    The bins of Guo et al. (2017), here for the probability of the label.

    Args:
      probability: [n] float, n > 0.
      labels: [n] float or bool, 1 or 0.
    """
    bins = reliability(probability, labels)
    return float(np.average(np.abs(bins.predicted - bins.observed), weights=bins.count))


def brier(probability: np.ndarray, labels: np.ndarray) -> float:
    """Returns the mean squared distance of the probability from 0 or 1 (Brier 1950)."""
    return float(np.mean((probability - labels) ** 2))


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Returns calibration error (`ece`), Brier score and log loss, all None without examples.

    Args:
      logits: [n] float.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
    """
    logits, positive = logits[labels >= 0], labels[labels >= 0] > 0.5
    if not positive.size:
        return {"ece": None, "brier": None, "loss": None}
    probability = classification.probabilities(logits)
    return {
        "ece": expected_calibration_error(probability, positive),
        "brier": brier(probability, positive),
        "loss": log_loss(logits, positive),
    }


def before_and_after(
    logits: np.ndarray, calibrated: np.ndarray, labels: np.ndarray, *, temperature: float
) -> dict:
    """Returns {temperature, before, after}, the latter two as `measure` returns them."""
    return {
        "temperature": temperature,
        "before": measure(logits, labels),
        "after": measure(calibrated, labels),
    }
