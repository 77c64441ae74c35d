"""Predictions and labels of one finding on one split."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

UNNAMED_CLASSES = ("absent", "present")  # of a label for which the data names none
LONGEST = 30  # characters of a label in a chart


class LabelResult(NamedTuple):
    """One label of one evaluated split, with the images for which it is known.

    Attributes:
      name: of the label.
      classes: names of the negative and the positive class.
      labels: [n] int, 0 or 1.
      probability: [n] float, not calibrated.
      patients: [n] patient of each image.
      operating_points: each with `name` and `threshold`, and more as in the evaluation.
      temperature: that calibrates the probability, found on validation; 1 leaves it as it is.
      split: "train", "validation" or "test".
      auc: `value`, `low` and `high`, where intervals are known.
      average_precision: likewise.
    """

    name: str
    classes: Sequence[str]
    labels: np.ndarray
    probability: np.ndarray
    patients: Sequence[str]
    operating_points: Sequence[Mapping]
    temperature: float
    split: str
    auc: Mapping[str, float | None] | None = None
    average_precision: Mapping[str, float | None] | None = None

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

    def confusion_matrix(self, threshold: float) -> np.ndarray:
        """Returns counts, [2, 2] int: rows are actual classes, columns predicted ones."""
        predicted = self.probability >= threshold
        return np.bincount(2 * self.labels + predicted, minlength=4).reshape(2, 2)


def point_title(point: Mapping) -> str:
    """Returns the name of an operating point with its threshold, unless the name has it."""
    if point["name"].endswith(f" {point['threshold']:g}"):
        return point["name"]
    return f"{point['name']} ({point['threshold']:.2f})"


def interval_text(interval: Mapping[str, float | None]) -> str:
    """Returns a value with its 95 % interval, as "0.974 (0.959 to 0.988)"."""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
