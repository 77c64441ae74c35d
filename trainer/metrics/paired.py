"""How far two runs differ on the same test images."""

from collections.abc import Sequence

import numpy as np

from trainer.metrics import classification
from trainer.metrics.label_result import LabelResult


def are_alike(first: Sequence[LabelResult], other: Sequence[LabelResult]) -> bool:
    """Returns whether both were judged on the same labels of the same patients, in this order."""
    return all(
        a.name == b.name
        and np.array_equal(a.labels, b.labels)
        and list(a.patients) == list(b.patients)
        for a, b in zip(first, other, strict=True)
    )


def auc_difference(
    first: Sequence[LabelResult], other: Sequence[LabelResult], seed: int = 0
) -> dict[str, float | None]:
    """Returns by how much the AUC of `other` is above that of `first`, with a 95 % interval.

    Both are judged on the same resamples of the patients, so that what makes a resample easy or
    hard does not count (Efron and Tibshirani, An Introduction to the Bootstrap, ch. 8 and 13).

    Args:
      first, other: what two runs say of the same images, see `are_alike`; a label each. Of
        several, the mean over those that are defined counts.
      seed: of the bootstrap.

    Returns:
      {value, low, high}, all None where no label is defined.
    """
    patients = sorted({patient for of in first for patient in of.patients})
    place = {patient: number for number, patient in enumerate(patients)}
    drawn = classification.resampled_counts(patients, seed)  # how often each patient counts
    drawn = np.vstack([np.ones_like(drawn[:1]), drawn])
    differences = []
    for a, b in zip(first, other, strict=True):
        if a.both_classes:
            counts, positive = drawn[:, [place[patient] for patient in a.patients]], a.labels > 0
            auc_a, auc_b = (
                classification.weighted_auc(positive, of.probability, counts) for of in (a, b)
            )
            differences.append(auc_b - auc_a)
    if not differences:
        return {"value": None, "low": None, "high": None}
    defined = np.isfinite(differences)
    with np.errstate(invalid="ignore"):
        mean = np.where(defined, differences, 0).sum(0) / defined.sum(0)
    tail = (1 - classification.CONFIDENCE) / 2
    low, high = np.nanquantile(mean[1:], [tail, 1 - tail])
    return {"value": float(mean[0]), "low": float(low), "high": float(high)}
