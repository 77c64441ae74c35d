"""Exact metrics over all examples, operating points, and confidence intervals (NumPy)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from trainer.metrics.scores import Scores

RESAMPLES = 1000
CONFIDENCE = 0.95
AT_ONCE = 100  # resamples; it bounds the memory
Interval = dict[str, float | None]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of each label: float64 of the same shape."""
    return expit(logits.astype(np.float64))


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Returns what one label comes to: loss and areas, and the shares right at probability 0.5.

    The average precision is the area under the steps of the precision-recall curve. What is not
    defined, such as the AUC of one class alone, is None.

    Args:
      logits: [n] float.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
    """
    logits, positive = logits[labels >= 0], labels[labels >= 0] > 0.5
    called = logits >= 0
    return {
        "loss": log_loss(logits, positive),
        "accuracy": _share(called == positive),
        "auc": _of_both_classes(roc_auc_score, positive, logits),
        "average_precision": _of_both_classes(average_precision_score, positive, logits),
        "sensitivity": _share(called[positive]),
        "specificity": _share(~called[~positive]),
    }


def measure_all(scores: Scores, names: Sequence[str]) -> dict:
    """Returns each metric of `measure`, the mean over the labels for which it is defined.

    With more than one label, `labels` has those of each by its name.
    """
    scores = scores.seen()
    columns = zip(names, scores.logits.T, scores.labels.T, strict=True)
    each = {name: measure(logits, labels) for name, logits, labels in columns}
    macro = {
        metric: mean_defined([of[metric] for of in each.values()]) for metric in each[names[0]]
    }
    return macro | ({"labels": each} if len(names) > 1 else {})


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Returns the mean of those that are not None."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def youden_threshold(labels: np.ndarray, probability: np.ndarray) -> float:
    """Returns the threshold with the largest sensitivity + specificity (Youden, Cancer 1950).

    It lies halfway between two neighbouring scores, so that rounding moves no example over it.

    Args:
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
      probability: [n] float.
    """
    probability, positive = probability[labels >= 0], labels[labels >= 0] > 0.5
    if positive.all() or not positive.any():
        return 0.5
    false_positive, true_positive, thresholds = roc_curve(positive, probability)
    best = int(np.argmax(true_positive - false_positive))
    above = min(thresholds[best], 1.0)
    below = probability[probability < above]
    return float((above + (below.max() if below.size else 0.0)) / 2)


def evaluate(
    labels: np.ndarray,
    probability: np.ndarray,
    patients: Sequence[str],
    names: Sequence[str],
    points: Mapping[str, Sequence[float]],
    seed: int = 0,
) -> dict:
    """Returns the areas under the curves and each operating point with 95 % intervals.

    Intervals are percentiles of a bootstrap over patients, since images of one patient are no
    independent examples (Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13).

    Args:
      labels: [n, K] float: 1, 0, or -1 where it is not known.
      probability: [n, K] float.
      patients: [n] patient of each image.
      names: of the K labels.
      points: name -> threshold of each label.
      seed: of the bootstrap.

    Returns:
      {auc, average_precision: the mean over the labels where it is defined, labels: {name:
      {positive, negative, auc, average_precision, operating_points}}}.
    """
    counts, results = resampled_counts(patients, seed), {}
    counts = np.vstack([np.ones_like(counts[:1]), counts])  # all examples, and the resamples
    areas: dict[str, list[np.ndarray]] = {"auc": [], "average_precision": []}
    for k, name in enumerate(names):
        known = labels[:, k] >= 0
        positive, score = labels[known, k] > 0.5, probability[known, k]
        chosen = counts if known.all() else counts[:, known]
        of_label = dict(zip(areas, weighted_areas(positive, score, chosen), strict=True))
        for area, values in of_label.items():
            areas[area] += [values] if np.isfinite(values[0]) else []
        results[name] = {
            "positive": int(positive.sum()),
            "negative": int((~positive).sum()),
            **{area: _interval(values) for area, values in of_label.items()},
            "operating_points": [
                _at(point, thresholds[k], positive, score, chosen)
                for point, thresholds in points.items()
            ],
        }
    means = {area: _interval(_mean_over_labels(of)) for area, of in areas.items()}
    return {**means, "labels": results}


def resampled_counts(patients: Sequence[str], seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Returns how often each image counts in each resample of the patients: [resamples, n]."""
    names, of_image = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(names), size=(resamples, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    return counts.astype(np.float32)[:, of_image]  # small whole numbers: sums of them are exact


def weighted_auc(labels: np.ndarray, probability: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the AUC of `weighted_areas`."""
    return weighted_areas(labels, probability, counts)[0]


def weighted_areas(
    labels: np.ndarray, probability: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the areas under the ROC and the precision-recall curve for each row of counts.

    The former is the Mann-Whitney AUC, ties counting half; the latter the average precision, the
    precision at each threshold weighted by the recall that it adds.

    Args:
      labels: [n] bool.
      probability: [n] float.
      counts: [r, n] float, how often each example counts.

    Returns:
      AUC and average precision, [r] float64 each, NaN where one class has no example.
    """
    if not labels.size:
        return np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    order = np.argsort(probability, kind="stable")
    starts = np.flatnonzero(np.diff(probability[order], prepend=-np.inf))
    labels = labels[order]

    def of(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = rows[:, order].astype(np.float64)
        positive, every = rows * labels, rows
        if len(starts) < len(order):
            positive, every = (np.add.reduceat(of, starts, axis=1) for of in (positive, every))
        positives, all_of_them = positive.sum(1), every.sum(1)
        found = positives[:, None] - np.cumsum(positive, 1) + positive  # at this threshold
        called = all_of_them[:, None] - np.cumsum(every, 1) + every
        negative = every - positive
        below = (all_of_them - positives)[:, None] - (called - found) + negative / 2
        with np.errstate(invalid="ignore"):
            auc = (positive * below).sum(1) / (positives * (all_of_them - positives))
            precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
            average = (positive * precision).sum(1) / positives
        return auc, np.where(np.isfinite(auc), average, np.nan)

    parts = [of(counts[start : start + AT_ONCE]) for start in range(0, len(counts), AT_ONCE)]
    auc, average_precision = (np.concatenate(part) for part in zip(*parts, strict=True))
    return auc, average_precision


def log_loss(logits: np.ndarray, positive: np.ndarray) -> float | None:
    """Returns the mean cross-entropy of logits [n] and of what is true [n] bool; None of none."""
    if not positive.size:
        return None
    signed = np.where(positive, logits, -logits).astype(np.float64)
    return float(np.logaddexp(0, -signed).mean())


def _at(
    name: str, threshold: float, positive: np.ndarray, score: np.ndarray, counts: np.ndarray
) -> dict:
    """Returns what one label's operating point comes to; counts are [1 + resamples, n]."""
    called = score >= threshold
    columns = [positive, ~positive, positive & called, ~positive & ~called]
    sums = counts @ np.stack(columns, 1).astype(np.float32)
    positives, negatives, found, passed = sums.astype(np.float64).T
    with np.errstate(invalid="ignore"):
        shares = {
            "accuracy": (found + passed) / (positives + negatives),
            "sensitivity": found / positives,
            "specificity": passed / negatives,
        }
    confusion = np.histogram2d(positive, called, bins=2, range=[[0, 1], [0, 1]])[0]
    return {
        "name": name,
        "threshold": threshold,
        **{share: _interval(values) for share, values in shares.items()},
        "confusion": confusion.astype(int).tolist(),
    }


def _mean_over_labels(areas: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean over the labels; one without a positive in a resample is left out there."""
    if not areas:
        return np.array([np.nan])
    defined = np.isfinite(areas)
    with np.errstate(invalid="ignore"):
        return np.where(defined, areas, 0).sum(0) / defined.sum(0)


def _interval(values: np.ndarray) -> Interval:
    """Returns the value of all examples, the first, with percentiles of the resamples after it.

    All are None where it is not defined.
    """
    value, spread = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not spread.size:
        return {"value": None, "low": None, "high": None}
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(spread, [tail, 1 - tail])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _of_both_classes(
    score: Callable[[np.ndarray, np.ndarray], float], positive: np.ndarray, logits: np.ndarray
) -> float | None:
    return float(score(positive, logits)) if positive.any() and not positive.all() else None


def _share(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if hits.size else None
