"""Exact metrics over all examples, with confidence intervals over patients (NumPy)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics import bootstrap
from trainer.metrics.label_result import confusion_matrix, operating_point
from trainer.metrics.ranking import Ranking
from trainer.metrics.scores import Scores

RATES = ("accuracy", "sensitivity", "specificity")


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
      thresholds: name of an operating point -> the logit from which on each label is predicted.
      seed: of the bootstrap.

    Returns:
      {auc, average_precision: the mean over the labels where it is defined, labels: {name:
      {positive, negative, auc, average_precision, operating_points}}}.
    """
    resamples, results = bootstrap.Resamples(patients, seed), {}
    areas: dict[str, list[np.ndarray]] = {"auc": [], "average_precision": []}
    for k, name in enumerate(names):
        known = np.flatnonzero(scores.labels[:, k] >= 0)
        positive = scores.labels[known, k] > 0.5
        logits = scores.logits[known, k].astype(np.float64)
        points = [(point, label_thresholds[k]) for point, label_thresholds in thresholds.items()]
        ranking = Ranking(positive, logits, [threshold for _, threshold in points])
        measured = resamples.measure(ranking.measure, known[ranking.order])
        auc, average_precision, *rates = measured.T
        label_areas = {"auc": auc, "average_precision": average_precision}
        for area, values in label_areas.items():
            areas[area] += [values] if np.isfinite(values[0]) else []
        results[name] = {
            "positive": int(positive.sum()),
            "negative": int((~positive).sum()),
            **{area: bootstrap.interval(values) for area, values in label_areas.items()},
            "operating_points": [
                operating_point(point, threshold)
                | dict(zip(RATES, map(bootstrap.interval, values), strict=True))
                | {"confusion": confusion_matrix(positive, logits >= threshold).tolist()}
                for (point, threshold), *values in zip(
                    points, rates[::3], rates[1::3], rates[2::3], strict=True
                )
            ],
        }
    means = {
        area: bootstrap.interval(bootstrap.mean_over_labels(values))
        for area, values in areas.items()
    }
    return {**means, "labels": results}


def resampled_auc(
    labels: np.ndarray, scores: np.ndarray, resamples: bootstrap.Resamples, images: np.ndarray
) -> np.ndarray:
    """Returns the AUC of all examples, then of each resample: [1 + draws] float64.

    Args:
      labels: [n] bool.
      scores: [n] float.
      resamples: of the patients.
      images: [n] int, the number there of each example.
    """
    ranking = Ranking(labels, scores)
    return resamples.measure(ranking.measure, images[ranking.order])[:, 0]


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
