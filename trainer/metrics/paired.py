"""Differences of two runs on the same images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

from trainer.metrics import bootstrap, classification, decisions, delong
from trainer.metrics.bootstrap import Interval
from trainer.metrics.label_result import LabelResult
from trainer.metrics.measured import Measured
from trainer.metrics.operating_points import CHOSEN


def are_comparable(first: Sequence[LabelResult], other: Sequence[LabelResult]) -> bool:
    """Returns whether both have the same labels of the same patients, in the same order."""
    return all(
        a.name == b.name
        and np.array_equal(a.labels, b.labels)
        and list(a.patients) == list(b.patients)
        for a, b in zip(first, other, strict=True)
    )


def auc_difference(
    first: Sequence[LabelResult], other: Sequence[LabelResult], seed: int = 0
) -> Interval:
    """Returns by how much the AUC of `other` is above that of `first`, with a 95 % interval.

    Both are measured on the same resamples of the patients, so that a resample which is easy or
    hard for both does not count (Efron and Tibshirani, An Introduction to the Bootstrap, ch. 8
    and 13). With several labels it is the mean over those that are defined.

    Args:
      first: a result for each label.
      other: likewise of another run on the same images, see `are_comparable`.
      seed: of the bootstrap.

    Returns:
      {value, low, high}, all None where no label is defined.
    """
    patients = sorted({patient for result in first for patient in result.patients})
    column = {patient: number for number, patient in enumerate(patients)}
    resamples = bootstrap.Resamples(patients, seed)
    differences = []
    for a, b in zip(first, other, strict=True):
        if a.has_both_classes:
            images = np.array([column[patient] for patient in a.patients])
            auc_a, auc_b = (
                classification.resampled_auc(a.labels > 0, result.logits, resamples, images)
                for result in (a, b)
            )
            differences.append(auc_b - auc_a)
    return bootstrap.interval(bootstrap.mean_over_labels(differences))


def compare(first: Measured, other: Measured) -> dict[str, Any]:
    """Returns by how much `other` is above `first` on the same images.

    Every difference has a 95 % interval of a paired bootstrap over patients, decisions are at the
    thresholds that each chose on validation.

    Args:
      first: figures of one network.
      other: of another, for the same images in the same order.

    Returns:
      {labels: {label: {delong: see `delong.AucTest`, mcnemar: see `mcnemar`, figures: {figure:
      {first, other, value, low, high}}}}}; of classes that exclude one another also of the
      likeliest class `mcnemar`, and `figures`: its accuracy and its balanced accuracy.
    """
    labels = {}
    for k, (name, examples) in enumerate(first.examples.items()):
        theirs = other.examples[name]
        ours, others = (one.figures[name].flat(CHOSEN) for one in (first, other))
        decided = [
            one.logits >= measured.points.thresholds[CHOSEN][k]
            for one, measured in ((examples, first), (theirs, other))
        ]
        test = delong.test(examples.positive, examples.logits, theirs.logits)
        labels[name] = {
            "delong": {key: _defined(value) for key, value in test._asdict().items()},
            "mcnemar": mcnemar(*(one == examples.positive for one in decided)),
            "figures": {
                figure: _difference(values, others[figure]) for figure, values in ours.items()
            },
        }
    scores = [one.predictions.scores for one in (first, other)]
    if not scores[0].outputs.exclusive:
        return {"labels": labels}
    true = scores[0].labels > 0.5
    right = [one.outputs.decide(one.logits)[true] for one in scores]
    wholes = []
    for one in scores:
        accuracy, sensitivities, _ = decisions.resampled(one, first.resamples)
        wholes.append((accuracy, bootstrap.mean_over_labels(sensitivities)))
    names = ("accuracy", "balanced_accuracy")
    whole = {n: _difference(*pair) for n, *pair in zip(names, *wholes, strict=True)}
    return {"labels": labels, "mcnemar": mcnemar(*right), "figures": whole}


def mcnemar(first: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """Returns the exact test of McNemar (Psychometrika 12:153 (1947)) of two decisions.

    It takes images as independent.

    Args:
      first: [n] bool, where one network is right.
      other: [n] bool, where the other is.

    Returns:
      {first_only: images that the first alone has right, other_only, p: two-sided}
    """
    first_only, other_only = int(np.sum(first & ~other)), int(np.sum(other & ~first))
    apart = first_only + other_only
    p = float(binomtest(first_only, apart).pvalue) if apart else 1.0
    return {"first_only": first_only, "other_only": other_only, "p": p}


def _difference(first: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Returns two figures and by how much the other is above the first, with its interval."""
    values = {"first": _defined(first[0]), "other": _defined(other[0])}
    return values | bootstrap.interval(other - first)


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
