"""Predictions with every figure of each label, for all images and for each resample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.metrics import bootstrap, calibration, classification, decisions, figures
from trainer.metrics.bootstrap import Interval, Resamples
from trainer.metrics.figures import Figures, LabelExamples
from trainer.metrics.operating_points import CHOSEN, OperatingPoints
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
                thresholds=self.thresholds(name),
            )
            labels[name] = described | {
                "calibration": calibration.before_and_after(*columns, temperature=temperature)
            }
        whole: dict[str, Any] = {}
        if scores.outputs.exclusive:
            whole, each = decisions.measure(scores, self.resamples)
            for name, decision in zip(names, each, strict=True):
                labels[name]["decision"] = decision
        mean = self.mean()
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

    def thresholds(self, label: str) -> dict[str, float]:
        """Returns the threshold of a label at each operating point, a logit."""
        return _thresholds(self.points, list(self.predictions.labels).index(label))

    def flat(self) -> dict[str, np.ndarray]:
        """Returns the figures at the point that validation chose, by name.

        Of several labels each is the mean over those for which it is defined.
        """
        return _mean([of_label.flat(CHOSEN) for of_label in self.figures.values()])

    def mean(self) -> dict[str, Any]:
        """Returns the mean of each figure over the labels for which it is defined.

        Returns:
          {figure: {value, low, high}, operating_points: [{name, figure: {value, low, high}}]}
        """
        each = list(self.figures.values())
        points = [
            {"name": point} | _intervals(_mean([one.points[point] for one in each]))
            for point in self.points.thresholds
        ]
        whole: dict[str, Any] = _intervals(_mean([one.whole for one in each]))
        return whole | {"operating_points": points}


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
            examples[name], resamples, thresholds=_thresholds(points, k), prevalence=prevalence
        )
    return Measured(predictions, points, resamples, examples, measured, prevalence)


def spread(each: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Returns the figures of several runs, their mean and their standard deviation.

    Args:
      each: two or more, of the same images.

    Returns:
      {figure: {each: [values], mean, sd}}, None where one is not defined.
    """
    figures_of = [one.flat() for one in each]
    found = {}
    for name in figures_of[0]:
        values = np.array([of_run[name][0] for of_run in figures_of])
        known = bool(np.isfinite(values).all())
        found[name] = {
            "each": [float(value) if np.isfinite(value) else None for value in values],
            "mean": float(values.mean()) if known else None,
            "sd": float(values.std(ddof=1)) if known else None,
        }
    return found


def _thresholds(points: OperatingPoints, label: int) -> dict[str, float]:
    return {point: float(each[label]) for point, each in points.thresholds.items()}


def _mean(by_label: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns each figure's mean over the labels where it is defined: [1 + resamples] float64."""
    means = {}
    for name in by_label[0]:
        values = [figures[name] for figures in by_label]
        means[name] = bootstrap.mean_over_labels([v for v in values if np.isfinite(v[0])])
    return means


def _intervals(by_name: Mapping[str, np.ndarray]) -> dict[str, Interval]:
    return {name: bootstrap.area_interval(values) for name, values in by_name.items()}
