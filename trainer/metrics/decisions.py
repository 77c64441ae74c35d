"""Decisions for the likeliest of several classes: their confusion matrix and rates."""

from typing import Any

import numpy as np

from trainer.metrics import bootstrap
from trainer.metrics.bootstrap import Interval
from trainer.metrics.scores import Scores


def measure(
    scores: Scores, resamples: bootstrap.Resamples
) -> tuple[dict[str, Any], list[dict[str, Interval]]]:
    """Returns the rates of the decision, with 95 % intervals over patients.

    Args:
      scores: of n images, each of one of K classes; where it is not known the image is left out.
      resamples: of the patients of these images.

    Returns:
      {exclusive: True, accuracy, balanced_accuracy (the mean of the sensitivities), confusion: [K,
      K] counts, whose rows are actual classes and whose columns are predicted ones}, and of each
      class {sensitivity, specificity}.
    """
    accuracy, sensitivities, specificities = resampled(scores, resamples)
    known = _known(scores)
    whole = {
        "exclusive": True,
        "accuracy": bootstrap.share_interval(accuracy, resamples.patients(known)),
        "balanced_accuracy": bootstrap.interval(bootstrap.mean_over_labels(sensitivities)),
        "confusion": confusion_matrix(scores).tolist(),
    }
    of_class = scores.labels[known] > 0.5
    columns = zip(sensitivities, specificities, of_class.T, strict=True)
    return whole, [
        {
            "sensitivity": bootstrap.share_interval(hits, resamples.patients(known[positive])),
            "specificity": bootstrap.share_interval(cleared, resamples.patients(known[~positive])),
        }
        for hits, cleared, positive in columns
    ]


def resampled(
    scores: Scores, resamples: bootstrap.Resamples
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Returns the accuracy, and each class's sensitivity and specificity.

    Each is [1 + resamples] float64: of all images, then of each resample.

    Args:
      scores: as for `measure`.
      resamples: likewise.
    """
    known, classes = _known(scores), scores.labels.shape[1]
    cells = _cells(scores)

    def rates(counts: np.ndarray) -> np.ndarray:
        matrix = np.bincount(cells, counts, minlength=classes**2).reshape(classes, classes)
        right, images = np.diag(matrix), matrix.sum()
        of_class, predicted = matrix.sum(1), matrix.sum(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            cleared = images - of_class - predicted + right
            specificity = cleared / (images - of_class)
            return np.array([right.sum() / images, *(right / of_class), *specificity])

    accuracy, *each = resamples.measure(rates, known).T
    return accuracy, each[:classes], each[classes:]


def confusion_matrix(scores: Scores) -> np.ndarray:
    """Returns counts, [K, K] int: rows are actual classes, columns predicted ones."""
    classes = scores.labels.shape[1]
    return np.bincount(_cells(scores), minlength=classes**2).reshape(classes, classes)


def _known(scores: Scores) -> np.ndarray:
    """Returns the numbers of the images whose class is known."""
    return np.flatnonzero((scores.labels > 0.5).any(1))


def _cells(scores: Scores) -> np.ndarray:
    """Returns the cell of the confusion matrix of each image whose class is known."""
    known = _known(scores)
    decided = scores.outputs.decide(scores.logits[known])
    return scores.labels[known].argmax(1) * scores.labels.shape[1] + decided.argmax(1)
