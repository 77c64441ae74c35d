"""Difference of the AUC of two runs on the same test images."""

from collections.abc import Sequence

import numpy as np

from trainer.metrics import bootstrap, classification
from trainer.metrics.bootstrap import Interval
from trainer.metrics.label_result import LabelResult


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
