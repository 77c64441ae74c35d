"""Predictions with every figure of each label, for all images and for each resample."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.metrics import bootstrap, calibration, classification, decisions, figures
from trainer.metrics.bootstrap import Interval, Resamples
from trainer.metrics.figures import Figures, LabelExamples
from trainer.metrics.operating_points import OperatingPoints
from trainer.metrics.predictions import Predictions


@dataclass(frozen=True)
class Measured:
    """What predictions are worth.

    Attributes:
      predictions: for n images.
      points: thresholds and temperatures, chosen on other images.
      resamples: of the patients of the n images.
      examples: of each label, by its name.
      figures: of each label, by its name.
      prevalence: share of positives of some predictive values.
    """

    predictions: Predictions
    points: OperatingPoints
    resamples: Resamples
    examples: dict[str, LabelExamples]
    figures: dict[str, Figures]
    prevalence: float

    def content(self) -> dict[str, Any]:
        """Returns what `evaluation/NAME.json` has of the predictions."""
        scores, names = self.predictions.scores, self.predictions.labels
        calibrated = scores.outputs.calibrated(scores.logits, self.points.temperatures)
        labels = {}
        for k, name in enumerate(names):
            columns = (scores.logits[:, k], calibrated[:, k], scores.labels[:, k])
            temperature = self.points.temperatures[k]
            described = figures.describe(
                self.figures[name],
                self.examples[name],
                self.resamples,
                thresholds=thresholds_of(self.points, k),
            )
            labels[name] = described | {
                "calibration": calibration.before_and_after(*columns, temperature=temperature)
            }
        whole: dict[str, Any] = {}
        if scores.outputs.exclusive:
            whole, each = decisions.measure(scores, self.resamples)
            for name, decision in zip(names, each, strict=True):
                labels[name]["decision"] = decision
        mean = self.mean(self.figures)
        return {
            "images": len(self.predictions.images),
            "patients": len(set(self.predictions.patients)),
            "classes": list(self.predictions.classes),
            "prevalence": self.prevalence,
            "loss": classification.measure_all(scores, names)["loss"],
            "auc": mean["auc"],
            "average_precision": mean["average_precision"],
            **whole,
            "labels": labels,
            **({"mean": mean} if len(names) > 1 else {}),
        }

    def mean(self, by_label: Mapping[str, Figures]) -> dict[str, Any]:
        """Returns the mean of each figure over the labels for which it is defined.

        Args:
          by_label: figures of each label, all of the same images.

        Returns:
          {figure: {value, low, high}, operating_points: [{name, figure: {value, low, high}}]}
        """
        each = list(by_label.values())

        def over_labels(pick: Callable[[Figures], np.ndarray]) -> Interval:
            values = [pick(one) for one in each]
            defined = [column for column in values if np.isfinite(column[0])]
            return bootstrap.area_interval(bootstrap.mean_over_labels(defined))

        points = [
            {"name": point}
            | {
                name: over_labels(lambda one, p=point, n=name: one.points[p][n])  # type: ignore[misc]
                for name in each[0].points[point]
            }
            for point in each[0].points
        ]
        whole = {name: over_labels(lambda one, n=name: one.whole[n]) for name in each[0].whole}  # type: ignore[misc]
        return {**whole, "operating_points": points}


def measure(
    predictions: Predictions,
    points: OperatingPoints,
    *,
    prevalence: float = figures.PREVALENCE,
    seed: int = 0,
) -> Measured:
    """Returns the figures of predictions.

    Args:
      predictions: without padding.
      points: chosen on validation.
      prevalence: share of positives for which the predictive values are told too.
      seed: of the bootstrap; the same patients have the same resamples.
    """
    scores = predictions.scores
    resamples = Resamples(predictions.patients, seed)
    calibrated = scores.outputs.calibrated(scores.logits, points.temperatures)
    examples, measured = {}, {}
    for k, name in enumerate(predictions.labels):
        known = np.flatnonzero(scores.labels[:, k] >= 0)
        examples[name] = LabelExamples(
            scores.labels[known, k] > 0.5,
            scores.logits[known, k].astype(np.float64),
            calibrated[known, k].astype(np.float64),
            known,
        )
        measured[name] = figures.measure(
            examples[name], resamples, thresholds=thresholds_of(points, k), prevalence=prevalence
        )
    return Measured(predictions, points, resamples, examples, measured, prevalence)


def thresholds_of(points: OperatingPoints, label: int) -> dict[str, float]:
    """Returns the threshold of one label at each operating point, a logit."""
    return {point: float(each[label]) for point, each in points.thresholds.items()}
