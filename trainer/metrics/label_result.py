"""What a network said of one label in one split, beside what is true."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

UNNAMED = ("absent", "present")  # classes of a label of which the data names none
LONGEST = 30  # characters of a label in a chart


class LabelResult(NamedTuple):
    """One label of one evaluated split, where it is known.

    Attributes:
      name: of the label.
      classes: what a negative and a positive image is called.
      labels: [n] int, 0 or 1.
      probability: [n] float, as the network gives it.
      patients: [n] patient of each image.
      points: operating points, as in the evaluation; of each, `name` and `threshold` are used.
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
    points: Sequence[Mapping]
    temperature: float
    split: str
    auc: Mapping[str, float | None] | None = None
    average_precision: Mapping[str, float | None] | None = None

    @property
    def both_classes(self) -> bool:
        """Whether there are negative and positive images."""
        return len(np.unique(self.labels)) == 2

    @property
    def about(self) -> str:
        """What a chart of it shows, in one line."""
        name = self.name if len(self.name) <= LONGEST else self.name[: LONGEST - 1] + "…"
        positive = int(np.sum(self.labels))
        return f"{self.split}: {name} in {positive:,} of {len(self.labels):,} images"

    def named(self, chart: str) -> str:
        """Returns the name of a chart of it, which no other label or split has."""
        return f"{self.name}: {chart}, {self.split}"

    def confusion(self, threshold: float) -> np.ndarray:
        """Returns counts, [2, 2] int: actual negative and positive, called so."""
        called = self.probability >= threshold
        return np.bincount(2 * self.labels + called, minlength=4).reshape(2, 2)


def point_in_words(point: Mapping) -> str:
    """Returns the name of an operating point with its threshold, unless the name tells it."""
    if point["name"].endswith(f" {point['threshold']:g}"):
        return point["name"]
    return f"{point['name']} ({point['threshold']:.2f})"


def in_words(interval: Mapping[str, float]) -> str:
    """Returns a value with its 95 % interval."""
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
