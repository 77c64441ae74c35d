"""All figures of one label, for all examples and for each resample of the patients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.metrics import bootstrap
from trainer.metrics.bootstrap import Interval, Resamples
from trainer.metrics.calibration_fit import CalibrationFit
from trainer.metrics.label_result import confusion_matrix, operating_point
from trainer.metrics.ranking import Ranking, Sums

LEVELS = (0.8, 0.9, 0.95)  # of a specificity at which the sensitivity is told, and the reverse
RISKS = np.arange(1, 100) / 100  # of a decision curve: the risk from which on one would act
PREVALENCE = 0.05
RANKED = (
    *("auc", "average_precision"),
    *(f"sensitivity_at_specificity_{round(100 * level)}" for level in LEVELS),
    *(f"specificity_at_sensitivity_{round(100 * level)}" for level in LEVELS),
)


@dataclass(frozen=True)
class LabelExamples:
    """The images of one label for which it is known.

    Attributes:
      positive: [n] bool.
      logits: [n] float, not calibrated; they are ranked and cut.
      calibrated: [n] float, the log-odds at the temperature; they are probabilities.
      images: [n] int, their numbers among the images of the resamples.
    """

    positive: np.ndarray
    logits: np.ndarray
    calibrated: np.ndarray
    images: np.ndarray

    def part(self, chosen: np.ndarray) -> "LabelExamples":
        """Returns the examples whose image is chosen; `chosen` is [all images] bool."""
        kept = chosen[self.images]
        return LabelExamples(
            self.positive[kept], self.logits[kept], self.calibrated[kept], self.images[kept]
        )


@dataclass(frozen=True)
class Figures:
    """Figures of one label; each array is [1 + resamples] float64: of all examples, then of each.

    NaN is undefined, such as the AUC of one class alone.

    Attributes:
      whole: those that need no threshold, by name.
      points: those at each operating point, by its name.
      net_benefit: of the decision curve, [1 + resamples, risks].
    """

    whole: dict[str, np.ndarray]
    points: dict[str, dict[str, np.ndarray]]
    net_benefit: np.ndarray

    def flat(self, point: str) -> dict[str, np.ndarray]:
        """Returns the figures without a threshold and those at one operating point, by name."""
        return self.whole | self.points[point]

    def __sub__(self, other: "Figures") -> "Figures":
        """Returns the differences, resample by resample: those of the same patients."""
        points = {
            point: _minus(figures, other.points[point]) for point, figures in self.points.items()
        }
        whole = _minus(self.whole, other.whole)
        return Figures(whole, points, self.net_benefit - other.net_benefit)


def measure(
    examples: LabelExamples,
    resamples: Resamples,
    *,
    thresholds: Mapping[str, float],
    prevalence: float = PREVALENCE,
) -> Figures:
    """Returns every figure of one label.

    Args:
      examples: of the label.
      resamples: of the patients of all images.
      thresholds: name of an operating point -> the logit from which on the label is predicted.
      prevalence: share of positives for which the predictive values are told too.
    """
    ranking = Ranking(examples.positive, examples.logits)
    reached, cuts = ranking.reached(list(thresholds.values())), ranking.cuts()

    def ranked(counts: np.ndarray) -> list[float]:
        sums = ranking.sums(counts)
        levels = _at_levels(sums, *_hits_and_alarms(sums, cuts))
        decided = np.concatenate(_hits_and_alarms(sums, reached))
        return [*ranking.areas(counts, sums), *levels, sums.positives, sums.negatives, *decided]

    columns = resamples.measure(ranked, examples.images[ranking.order]).T
    *named, positives, negatives = columns[: len(RANKED) + 2]
    hits, alarms = np.split(columns[len(RANKED) + 2 :], 2)
    points = {
        point: rates(found, wrong, positives=positives, negatives=negatives, prevalence=prevalence)
        for point, found, wrong in zip(thresholds, hits, alarms, strict=True)
    }
    calibrated, net_benefit = _of_probabilities(examples, resamples)
    return Figures(dict(zip(RANKED, named, strict=True)) | calibrated, points, net_benefit)


def rates(
    hits: np.ndarray,
    alarms: np.ndarray,
    *,
    positives: np.ndarray,
    negatives: np.ndarray,
    prevalence: float,
) -> dict[str, np.ndarray]:
    """Returns the figures of a decision, from counts; each array has the same shape.

    The correlation of Matthews (MCC) is 0 where all or none are predicted positive.

    Args:
      hits: true positives.
      alarms: false positives.
      positives: all that are positive.
      negatives: all that are negative.
      prevalence: share of positives of `ppv_at_prevalence` and `npv_at_prevalence`.
    """
    missed, cleared = positives - hits, negatives - alarms
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = hits / positives, cleared / negatives
        predicted = hits + alarms
        product = predicted * (missed + cleared) * positives * negatives
        mcc = (hits * cleared - alarms * missed) / np.sqrt(np.where(product > 0, product, 1))
        found, wrong = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
        free, overlooked = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
        return {
            "accuracy": (hits + cleared) / (positives + negatives),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "ppv": hits / predicted,
            "npv": cleared / (missed + cleared),
            "ppv_at_prevalence": found / (found + wrong),
            "npv_at_prevalence": free / (free + overlooked),
            "f1": 2 * hits / (2 * hits + alarms + missed),
            "mcc": np.where((positives > 0) & (negatives > 0), mcc, np.nan),
        }


def describe(
    figures: Figures,
    examples: LabelExamples,
    resamples: Resamples,
    *,
    thresholds: Mapping[str, float],
) -> dict[str, Any]:
    """Returns the figures with their 95 % intervals, as in `evaluation/NAME.json`.

    Args:
      figures: what `measure` returned for the other arguments.
      examples: of the label.
      resamples: of the patients of all images.
      thresholds: as for `measure`.

    Returns:
      {positive, negative, auc, average_precision, ... every figure without a threshold,
      operating_points: [{name, threshold, logit, confusion, ... every figure of a decision}],
      decision_curve: [{risk, net_benefit, all: that of acting on everyone}]}
    """
    positive, points = examples.positive, list[dict]()
    for point, threshold in thresholds.items():
        predicted = examples.logits >= threshold
        counted = counted_patients(examples, predicted, resamples)
        content = operating_point(point, threshold)
        for name, values in figures.points[point].items():
            content[name] = intervals(values, counted.get(name))  # type: ignore[assignment]
        points.append(content | {"confusion": confusion_matrix(positive, predicted).tolist()})
    return {
        "positive": int(positive.sum()),
        "negative": int((~positive).sum()),
        **{name: intervals(values) for name, values in figures.whole.items()},
        "operating_points": points,
        "decision_curve": [
            {"risk": float(risk), "net_benefit": bootstrap.interval(values), "all": benefit}
            for risk, values, benefit in zip(
                RISKS, figures.net_benefit.T, _benefit_of_all(positive), strict=True
            )
        ],
    }


def intervals(values: np.ndarray, patients: int | None = None) -> Interval:
    """Returns value, low and high; of a share over so many patients Wilson's where need be."""
    if patients:
        return bootstrap.share_interval(values, patients)
    return bootstrap.area_interval(values)


def counted_patients(
    examples: LabelExamples, predicted: np.ndarray, resamples: Resamples
) -> dict[str, int]:
    """Returns over how many patients each share at an operating point is taken."""
    positive = examples.positive
    counted = {
        "accuracy": np.ones(len(positive), bool),
        "sensitivity": positive,
        "specificity": ~positive,
        "ppv": predicted,
        "npv": ~predicted,
    }
    return {name: resamples.patients(examples.images[of]) for name, of in counted.items()}


def _of_probabilities(
    examples: LabelExamples, resamples: Resamples
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the figures of calibrated probabilities by name, and the decision curve's."""
    fit = CalibrationFit(examples.positive, examples.calibrated)
    acting = fit.ranking.reached(np.log(RISKS / (1 - RISKS)).tolist())
    odds = RISKS / (1 - RISKS)

    def measured(counts: np.ndarray) -> np.ndarray:
        sums = fit.ranking.sums(counts)
        hits, alarms = _hits_and_alarms(sums, acting)
        with np.errstate(invalid="ignore", divide="ignore"):
            benefit = (hits - alarms * odds) / sums.every[-1]
        return np.concatenate([fit.measure(counts, sums), benefit])

    columns = resamples.measure(measured, examples.images[fit.ranking.order])
    named, benefit = np.split(columns, [len(fit.NAMES)], axis=1)
    named[0, -2:] = fit.line
    return dict(zip(fit.NAMES, named.T, strict=True)), benefit


def _hits_and_alarms(sums: Sums, reached: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns true and false positives where so many examples and positives are predicted."""
    hits = sums.found.take(reached[1])
    return hits, sums.every.take(reached[0]) - hits


def _at_levels(sums: Sums, hits: np.ndarray, alarms: np.ndarray) -> list[float]:
    """Returns sensitivities at each level of specificity, then the reverse.

    It is the best that a threshold reaches without falling below the level.

    Args:
      sums: of the examples.
      hits: [1 + d] rising, true positives at every possible threshold.
      alarms: [1 + d] rising, false positives there.
    """
    positives, negatives = float(sums.positives), float(sums.negatives)
    if not positives or not negatives:
        return [np.nan] * (2 * len(LEVELS))
    allowed = [np.floor((1 - level) * negatives + 1e-9) for level in LEVELS]
    wanted = [np.ceil(level * positives - 1e-9) for level in LEVELS]
    most = hits[np.searchsorted(alarms, allowed, "right") - 1] / positives
    fewest = 1 - alarms[np.searchsorted(hits, wanted, "left")] / negatives
    return [*most, *fewest]


def _benefit_of_all(positive: np.ndarray) -> list[float | None]:
    """Returns the net benefit of acting on everyone, at each risk."""
    if not positive.size:
        return [None] * len(RISKS)
    share = positive.mean()
    return [float(share - (1 - share) * risk / (1 - risk)) for risk in RISKS]


def _minus(
    first: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: values - other[name] for name, values in first.items()}
