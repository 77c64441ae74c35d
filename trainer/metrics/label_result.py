"""Predictions and labels of one finding on one split."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

UNNAMED_CLASSES = ("absent", "present")  # of a label for which the data names none
OTHER_CLASSES = "all others"  # those that a class excludes
LONGEST = 30  # characters of a label in a chart


class LabelResult(NamedTuple):
    """One label of one evaluated split, with the images for which it is known.

    Attributes:
      name: of the label.
      classes: names of the negative and the positive class.
      labels: [n] int, 0 or 1.
      logits: [n] float64, the log-odds of the label against all others.
      patients: [n] patient of each image.
      operating_points: each with `name`, `threshold` (a probability) and `logit` (the same), and
        more as in the evaluation; an older one has no `logit`.
      temperature: that calibrates the probability, found on validation; 1 leaves it as it is.
      split: "train", "validation" or "test".
      auc: `value`, `low` and `high`, where intervals are known.
      average_precision: likewise.
      calibrated_logits: [n] float64, at the temperature; None where it divides the logits.
    """

    name: str
    classes: Sequence[str]
    labels: np.ndarray
    logits: np.ndarray
    patients: Sequence[str]
    operating_points: Sequence[Mapping]
    temperature: float
    split: str
    auc: Mapping[str, float | None] | None = None
    average_precision: Mapping[str, float | None] | None = None
    calibrated_logits: np.ndarray | None = None

    @property
    def probability(self) -> np.ndarray:
        """The probability, not calibrated: [n] float64; equal near 0 and 1 where logits are not."""
        return expit(self.logits)

    @property
    def calibrated(self) -> np.ndarray:
        """The probability at the temperature: [n] float64."""
        if self.calibrated_logits is None:
            return expit(self.logits / self.temperature)
        return expit(self.calibrated_logits)

    @property
    def has_both_classes(self) -> bool:
        """Whether there are negative and positive images."""
        return len(np.unique(self.labels)) == 2

    @property
    def subtitle(self) -> str:
        """The second heading of its charts: split, label and number of images."""
        name = self.name if len(self.name) <= LONGEST else self.name[: LONGEST - 1] + "…"
        positive = int(np.sum(self.labels))
        return f"{self.split}: {name} in {positive:,} of {len(self.labels):,} images"

    def chart_name(self, kind: str) -> str:
        """Returns a name for its chart of a kind, which no other label or split has."""
        return f"{self.name}: {kind}, {self.split}"

    def confusion_matrix(self, point: Mapping) -> np.ndarray:
        """Returns the confusion matrix at an operating point, see `confusion_matrix`."""
        return confusion_matrix(self.labels, self.logits >= threshold_logit(point))


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns counts, [2, 2] int: rows are actual classes, columns predicted ones."""
    return np.bincount(2 * labels.astype(int) + predicted, minlength=4).reshape(2, 2)


def operating_point(name: str, threshold: float) -> dict[str, str | float]:
    """Returns {name, threshold, logit}: the threshold as a probability, and the same as a logit."""
    return {"name": name, "threshold": float(expit(threshold)), "logit": threshold}


def threshold_logit(point: Mapping) -> float:
    """Returns the logit from which on an operating point predicts the label."""
    return point.get("logit", logit(point["threshold"]))


def point_title(point: Mapping) -> str:
    """Returns the name of an operating point with its threshold, unless the name has it."""
    if point["name"].endswith(f" {point['threshold']:g}"):
        return point["name"]
    return f"{point['name']} ({point['threshold']:.2f})"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """Returns a value with its 95 % interval, as "0.974 (0.959 to 0.988)"."""
    if interval["low"] is None:
        return f"{interval['value']:.3f} (too few patients)"
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
