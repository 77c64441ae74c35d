"""Predictions for one split: the scores of a network, joined with the images they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.metrics import calibration, classification
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
        calibrated = scores.outputs.calibrated(scores.logits, points.temperatures)
        columns = zip(scores.logits.T, calibrated.T, scores.labels.T, strict=True)
        for label, column, temperature in zip(
            measured["labels"].values(), columns, points.temperatures, strict=True
        ):
            label["calibration"] = calibration.before_and_after(*column, temperature=temperature)
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
