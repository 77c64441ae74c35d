"""Predictions for one split: the scores of a network, joined with the images they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.metrics import calibration, classification
from trainer.metrics.label_result import UNNAMED_CLASSES, LabelResult, operating_point
from trainer.metrics.operating_points import OperatingPoints
from trainer.metrics.scores import Scores


@dataclass(frozen=True)
class Predictions:
    """Scores of every image of a split, and which image and patient each row is.

    Attributes:
      split: "train", "validation" or "test".
      labels: names of the K labels.
      classes: the two class names where K is 1, the negative one first; else none.
      images: [n] name of each image.
      patients: [n] patient of each image.
      scores: of the same images in the same order.
    """

    split: str
    labels: Sequence[str]
    classes: Sequence[str]
    images: Sequence[str]
    patients: Sequence[str]
    scores: Scores

    def evaluate(self, points: OperatingPoints, *, epoch: int, step: int, seed: int) -> dict:
        """Returns the evaluation of the split, as in `evaluation/SPLIT.json`.

        Args:
          points: chosen on validation.
          epoch: of the checkpoint that was scored.
          step: of that checkpoint.
          seed: of the bootstrap.
        """
        scores = self.scores
        measured = classification.evaluate(
            scores,
            self.patients,
            names=self.labels,
            thresholds=points.thresholds,
            seed=seed,
        )
        columns = zip(scores.logits.T, scores.labels.T, points.temperatures, strict=True)
        for label, column in zip(measured["labels"].values(), columns, strict=True):
            label["calibration"] = calibration.before_and_after(*column)
        return {
            "split": self.split,
            "images": len(self.images),
            "patients": len(set(self.patients)),
            "classes": list(self.classes),
            "epoch": epoch,
            "step": step,
            "loss": classification.measure_all(scores, self.labels)["loss"],
            **measured,
        }

    def label_results(self, points: OperatingPoints) -> list[LabelResult]:
        """Returns each label with the images for which it is known."""
        return [self._label_result(number, points) for number in range(len(self.labels))]

    def _label_result(self, number: int, points: OperatingPoints) -> LabelResult:
        known = np.flatnonzero(self.scores.labels[:, number] >= 0)
        return LabelResult(
            name=self.labels[number],
            classes=self.classes or UNNAMED_CLASSES,
            labels=self.scores.labels[known, number].astype(int),
            logits=self.scores.logits[known, number].astype(np.float64),
            patients=[self.patients[row] for row in known.tolist()],
            operating_points=[
                operating_point(name, thresholds[number])
                for name, thresholds in points.thresholds.items()
            ],
            temperature=points.temperatures[number],
            split=self.split,
        )
