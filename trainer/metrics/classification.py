"""Exact metrics over all examples, with confidence intervals over patients (NumPy)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics import bootstrap, decisions
from trainer.metrics.label_result import confusion_matrix, operating_point
from trainer.metrics.outputs import log_loss
from trainer.metrics.ranking import Ranking
from trainer.metrics.scores import Scores

RATES = ("accuracy", "sensitivity", "specificity")


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the probability of each label: float64 of the same shape."""
    return expit(logits.astype(np.float64))


def measure(
    logits: np.ndarray, labels: np.ndarray, decided: np.ndarray | None = None
) -> dict[str, float | None]:
    """Returns the metrics of one label: loss, areas, and the rates of a decision.

    The average precision is the area under the steps of the precision-recall curve. What is not
    defined, such as the AUC of one class alone, is None.

    Args:
      logits: [n] float.
      labels: [n] float: 1, 0, or -1 where it is not known, which is left out.
      decided: [n] bool, for which examples it is predicted; by default at probability 0.5.
    """
    known = labels >= 0
    predicted = (logits >= 0 if decided is None else decided)[known]
    logits, positive = logits[known], labels[known] > 0.5
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

    Of classes that exclude one another, loss and accuracy are those of the images instead.
    With more than one label, `labels` has the metrics of each label by its name.
    """
    scores = scores.without_padding()
    decided = scores.outputs.decide(scores.logits)
    columns = zip(names, scores.logits.T, scores.labels.T, decided.T, strict=True)
    each = {name: measure(*column) for name, *column in columns}
    mean = {
        metric: _mean_defined([measured[metric] for measured in each.values()])
        for metric in each[names[0]]
    }
    mean |= scores.outputs.whole(scores.logits, scores.labels)
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

    Intervals are percentiles of a bootstrap over patients. Where no resample differs, as with one
    or two positive patients that are both found, a rate has Wilson's interval over as many patients
    as it counts, and an area none.

    Args:
      scores: of n images with K labels, without padding.
      patients: [n] patient of each image.
      names: of the K labels.
      thresholds: name of an operating point -> the logit from which on each label is predicted.
      seed: of the bootstrap.

    Returns:
      {auc, average_precision: the mean over the labels where it is defined, labels: {name:
      {positive, negative, auc, average_precision, operating_points}}}; of classes that exclude one
      another also what `decisions.measure` returns.
    """
    resamples, results = bootstrap.Resamples(patients, seed), {}
    areas: dict[str, list[np.ndarray]] = {"auc": [], "average_precision": []}
    for k, name in enumerate(names):
        known = np.flatnonzero(scores.labels[:, k] >= 0)
        positive = scores.labels[known, k] > 0.5
        logits = scores.logits[known, k].astype(np.float64)
        points = [(point, label_thresholds[k]) for point, label_thresholds in thresholds.items()]
        counted = [resamples.patients(i) for i in (known, known[positive], known[~positive])]
        ranking = Ranking(positive, logits, [threshold for _, threshold in points])
        measured = resamples.measure(ranking.measure, known[ranking.order])
        auc, average_precision, *rates = measured.T
        label_areas = {"auc": auc, "average_precision": average_precision}
        for area, values in label_areas.items():
            areas[area] += [values] if np.isfinite(values[0]) else []
        results[name] = {
            "positive": int(positive.sum()),
            "negative": int((~positive).sum()),
            **{area: bootstrap.area_interval(values) for area, values in label_areas.items()},
            "operating_points": [
                operating_point(point, threshold)
                | dict(zip(RATES, map(bootstrap.share_interval, values, counted), strict=True))
                | {"confusion": confusion_matrix(positive, logits >= threshold).tolist()}
                for (point, threshold), *values in zip(
                    points, rates[::3], rates[1::3], rates[2::3], strict=True
                )
            ],
        }
    means = {
        area: bootstrap.area_interval(bootstrap.mean_over_labels(values))
        for area, values in areas.items()
    }
    if scores.outputs.exclusive:
        whole, each = decisions.measure(scores, resamples)
        for label, decision in zip(results.values(), each, strict=True):
            label["decision"] = decision
        means |= whole
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
