"""Exact metrics over all examples, with confidence intervals over patients (NumPy)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics import bootstrap
from trainer.metrics.scores import Scores

AT_ONCE = 100  # resamples; it bounds the memory


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of each label: float64 of the same shape."""
    return expit(logits.astype(np.float64))


def measure(logits: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """Returns the metrics of one label: loss, areas, and rates at probability 0.5.

    The average precision is the area under the steps of the precision-recall curve. What is not
    defined, such as the AUC of one class alone, is None.

    Args:
      logits: [n] float.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
    """
    logits, positive = logits[labels >= 0], labels[labels >= 0] > 0.5
    predicted = logits >= 0
    return {
        "loss": log_loss(logits, positive),
        "accuracy": _share(predicted == positive),
        "auc": _area(roc_auc_score, positive, logits),
        "average_precision": _area(average_precision_score, positive, logits),
        "sensitivity": _share(predicted[positive]),
        "specificity": _share(~predicted[~positive]),
    }


def measure_all(scores: Scores, names: Sequence[str]) -> dict:
    """Returns each metric of `measure`, the mean over the labels for which it is defined.

    With more than one label, `labels` has the metrics of each label by its name.
    """
    scores = scores.without_padding()
    columns = zip(names, scores.logits.T, scores.labels.T, strict=True)
    each = {name: measure(logits, labels) for name, logits, labels in columns}
    mean = {
        metric: _mean_defined([measured[metric] for measured in each.values()])
        for metric in each[names[0]]
    }
    return mean | ({"labels": each} if len(names) > 1 else {})


def evaluate(
    scores: Scores,
    patients: Sequence[str],
    *,
    names: Sequence[str],
    thresholds: Mapping[str, Sequence[float]],
    seed: int = 0,
) -> dict:
    """Returns the areas under the curves and each operating point with 95 % intervals.

    Intervals are percentiles of a bootstrap over patients.

    Args:
      scores: of n images with K labels, without padding.
      patients: [n] patient of each image.
      names: of the K labels.
      thresholds: name of an operating point -> threshold of each label.
      seed: of the bootstrap.

    Returns:
      {auc, average_precision: the mean over the labels where it is defined, labels: {name:
      {positive, negative, auc, average_precision, operating_points}}}.
    """
    counts, results = bootstrap.resampled_counts(patients, seed), {}
    probability = probabilities(scores.logits)
    areas: dict[str, list[np.ndarray]] = {"auc": [], "average_precision": []}
    for k, name in enumerate(names):
        known = scores.labels[:, k] >= 0
        positive, score = scores.labels[known, k] > 0.5, probability[known, k]
        known_counts = counts if known.all() else counts[:, known]
        label_areas = dict(zip(areas, weighted_areas(positive, score, known_counts), strict=True))
        for area, values in label_areas.items():
            areas[area] += [values] if np.isfinite(values[0]) else []
        results[name] = {
            "positive": int(positive.sum()),
            "negative": int((~positive).sum()),
            **{area: bootstrap.interval(values) for area, values in label_areas.items()},
            "operating_points": [
                {"name": point, "threshold": label_thresholds[k]}
                | _rates(positive, score >= label_thresholds[k], known_counts)
                for point, label_thresholds in thresholds.items()
            ],
        }
    means = {
        area: bootstrap.interval(bootstrap.mean_over_labels(values))
        for area, values in areas.items()
    }
    return {**means, "labels": results}


def weighted_auc(labels: np.ndarray, probability: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the first of `weighted_areas`, the AUC for each row of counts."""
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

    def areas(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        every = rows[:, order].astype(np.float64)
        positive = every * labels
        if len(starts) < len(order):
            positive = np.add.reduceat(positive, starts, axis=1)
            every = np.add.reduceat(every, starts, axis=1)
        positives, total = positive.sum(1), every.sum(1)
        found = positives[:, None] - np.cumsum(positive, 1) + positive  # at this threshold
        predicted = total[:, None] - np.cumsum(every, 1) + every
        negative = every - positive
        below = (total - positives)[:, None] - (predicted - found) + negative / 2
        with np.errstate(invalid="ignore"):
            auc = (positive * below).sum(1) / (positives * (total - positives))
            precision = np.divide(found, predicted, out=np.zeros_like(found), where=predicted > 0)
            average = (positive * precision).sum(1) / positives
        return auc, np.where(np.isfinite(auc), average, np.nan)

    parts = [areas(counts[start : start + AT_ONCE]) for start in range(0, len(counts), AT_ONCE)]
    auc, average_precision = (np.concatenate(part) for part in zip(*parts, strict=True))
    return auc, average_precision


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


def _rates(positive: np.ndarray, predicted: np.ndarray, counts: np.ndarray) -> dict:
    """Returns the rates of one operating point, and its confusion matrix.

    Args:
      positive: [n] bool, the true label.
      predicted: [n] bool.
      counts: [1 + resamples, n] as `bootstrap.resampled_counts` returns them.
    """
    columns = [positive, ~positive, positive & predicted, ~positive & ~predicted]
    sums = counts @ np.stack(columns, 1).astype(np.float32)
    positives, negatives, true_positives, true_negatives = sums.astype(np.float64).T
    with np.errstate(invalid="ignore"):
        rates = {
            "accuracy": (true_positives + true_negatives) / (positives + negatives),
            "sensitivity": true_positives / positives,
            "specificity": true_negatives / negatives,
        }
    confusion = np.histogram2d(positive, predicted, bins=2, range=[[0, 1], [0, 1]])[0]
    return {
        **{name: bootstrap.interval(values) for name, values in rates.items()},
        "confusion": confusion.astype(int).tolist(),
    }


def _mean_defined(values: Sequence[float | None]) -> float | None:
    """Returns the mean of the values that are not None."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _area(
    score: Callable[[np.ndarray, np.ndarray], float], positive: np.ndarray, logits: np.ndarray
) -> float | None:
    """Returns an area under a curve, None where one class is missing."""
    return float(score(positive, logits)) if positive.any() and not positive.all() else None


def _share(hits: np.ndarray) -> float | None:
    return float(hits.mean()) if hits.size else None
