"""Exact metrics over all examples, operating points, and confidence intervals (NumPy)."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from trainer.step import Scores

RESAMPLES = 1000
CONFIDENCE = 0.95


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of the second class: [n] float64."""
    return expit(logits.astype(np.float64))


def measure(scores: Scores, threshold: float = 0.5) -> dict[str, float | None]:
    """Returns loss, accuracy, AUC, sensitivity and specificity over all examples.

    What is not defined, such as the AUC of one class alone, is None.
    """
    scores = scores.seen()
    probability = probabilities(scores.logits)
    labels = scores.labels > 0.5
    return {
        "loss": _log_loss(scores.logits, labels),
        "accuracy": float(np.mean((probability >= threshold) == labels)),
        "auc": _auc(labels, probability),
        "sensitivity": _share(probability[labels] >= threshold),
        "specificity": _share(probability[~labels] < threshold),
    }


def youden_threshold(labels: np.ndarray, probability: np.ndarray) -> float:
    """Returns the threshold with the largest sensitivity + specificity (Youden, Cancer 1950).

    It lies halfway between two neighbouring scores, so that rounding moves no example over it.
    """
    if labels.all() or not labels.any():
        return 0.5
    false_positive, true_positive, thresholds = roc_curve(labels, probability)
    best = int(np.argmax(true_positive - false_positive))
    above = min(thresholds[best], 1.0)
    below = probability[probability < above]
    return float((above + (below.max() if below.size else 0.0)) / 2)


def evaluate(
    labels: np.ndarray,
    probability: np.ndarray,
    patients: Sequence[str],
    points: dict[str, float],
    seed: int = 0,
) -> dict:
    """Returns the AUC and the numbers of each operating point with 95 % intervals.

    Intervals are percentiles of a bootstrap over patients, since images of one patient are no
    independent examples (Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13).

    Args:
      labels: [n] bool.
      probability: [n] float, of the second class.
      patients: [n] patient of each image.
      points: name -> threshold.
      seed: of the bootstrap.
    """
    counts = _resampled_counts(patients, seed)
    everyone = np.ones((1, len(labels)))

    def interval(statistic: Callable[[np.ndarray], np.ndarray]) -> dict[str, float | None]:
        value = statistic(everyone)[0]
        spread = statistic(counts)
        spread = spread[np.isfinite(spread)]
        if not np.isfinite(value) or not spread.size:
            return {"value": None, "low": None, "high": None}
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(spread, [tail, 1 - tail])
        return {"value": float(value), "low": float(low), "high": float(high)}

    def at(name: str, threshold: float) -> dict:
        called = probability >= threshold
        return {
            "name": name,
            "threshold": threshold,
            "accuracy": interval(lambda c: _mean(called == labels, c, np.ones_like(labels))),
            "sensitivity": interval(lambda c: _mean(called, c, labels)),
            "specificity": interval(lambda c: _mean(~called, c, ~labels)),
            "confusion": confusion_matrix(labels, called, labels=[False, True]).tolist(),
        }

    return {
        "auc": interval(lambda c: _weighted_auc(labels, probability, c)),
        "operating_points": [at(name, threshold) for name, threshold in points.items()],
    }


def _resampled_counts(patients: Sequence[str], seed: int) -> np.ndarray:
    """Returns how often each image counts in each resample of the patients: [resamples, n]."""
    names, of_image = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(names), size=(RESAMPLES, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    return counts[:, of_image].astype(np.float64)


def _mean(hit: np.ndarray, counts: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Returns the share of hits among the chosen images, for each row of counts."""
    among = among.astype(bool)
    with np.errstate(invalid="ignore"):
        return counts[:, among] @ hit[among] / counts[:, among].sum(1)


def _weighted_auc(labels: np.ndarray, probability: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the Mann-Whitney AUC, ties counting half, for each row of counts."""
    values, rank = np.unique(probability, return_inverse=True)

    def per_value(chosen: np.ndarray) -> np.ndarray:
        table = np.zeros((len(counts), len(values)))
        np.add.at(table.T, rank[chosen], counts[:, chosen].T)
        return table

    positive, negative = per_value(labels), per_value(~labels)
    below = np.cumsum(negative, 1) - negative / 2
    with np.errstate(invalid="ignore"):
        return (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))


def _auc(labels: np.ndarray, probability: np.ndarray) -> float | None:
    return float(roc_auc_score(labels, probability)) if len(set(labels)) == 2 else None


def _share(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if hits.size else None


def _log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    signed = np.where(labels, logits, -logits).astype(np.float64)
    return float(np.logaddexp(0, -signed).mean())
