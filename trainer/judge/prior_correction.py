"""A network's decisions corrected for other shares of the classes, which no label tells."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logit

from trainer.judge.ensemble import Ensemble
from trainer.metrics import classification, decisions, prior_shift
from trainer.metrics.measured import Measured
from trainer.metrics.operating_points import CHOSEN, HALF, OperatingPoints
from trainer.metrics.scores import Scores

POINT = "corrected for the prior"
LEAST = 1e-6  # of an assumed share


@dataclass(frozen=True)
class PriorCorrection:
    """Shares of the labels as validation has them, and as they are estimated for other images.

    Attributes:
      assumed: [K] float64, the mean calibrated probability on validation, so that nothing would be
        corrected there.
      estimated: [K] float64, see `prior_shift`.
      points: those of the network, with the corrected one before that of validation.
    """

    assumed: np.ndarray
    estimated: np.ndarray
    points: OperatingPoints

    @classmethod
    def find(cls, network: Ensemble, scores: Scores) -> "PriorCorrection | None":
        """Estimates the shares among judged images; None without validation images in common.

        Args:
          network: whose threshold is corrected.
          scores: of the network for the judged images; their labels are not used.
        """
        if (validation := network.validation_scores()) is None:
            return None
        known, new = (
            classification.probabilities(network.calibrated(one.logits))
            for one in (validation, scores)
        )
        if network.outputs.exclusive:
            assumed = known.mean(0).clip(LEAST)
            return cls(assumed, prior_shift.estimate(new, assumed / assumed.sum()), network.points)
        assumed = known.mean(0).clip(LEAST, 1 - LEAST)
        estimated = np.array(
            [
                prior_shift.estimate(np.stack([1 - p, p], 1), np.array([1 - share, share]))[1]
                for p, share in zip(new.T, assumed, strict=True)
            ]
        )
        shift = (logit(estimated) - logit(assumed)) * np.asarray(network.points.temperatures)
        half, chosen = (network.points.thresholds[name] for name in (HALF, CHOSEN))
        moved = (np.asarray(chosen) - shift).tolist()
        points = network.points._replace(thresholds={HALF: half, POINT: moved, CHOSEN: chosen})
        return cls(assumed, estimated, points)

    def move(self, content: dict[str, Any], result: Measured) -> dict[str, Any]:
        """Returns what `evaluation/NAME.json` has as `prior`; its points leave `content`.

        Args:
          content: of the result, with the figures of the corrected point.
          result: measured with `points`.
        """
        labels = {
            name: {"assumed": float(assumed), "estimated": float(estimated)}
            for name, assumed, estimated in zip(
                result.predictions.labels, self.assumed, self.estimated, strict=True
            )
        }
        scores = result.predictions.scores
        if scores.outputs.exclusive:
            probability = classification.probabilities(
                scores.outputs.calibrated(scores.logits, self.points.temperatures)
            )
            there = prior_shift.corrected(probability, self.assumed, self.estimated)
            log_odds = scores.outputs.log_odds(np.log(there.clip(1e-300)))
            whole, _ = decisions.measure(scores._replace(logits=log_odds), result.resamples)
            return {"labels": labels, **whole}
        for name, label in labels.items():
            label |= _pop(content["labels"][name])
        return {"labels": labels} | ({"mean": _pop(content["mean"])} if "mean" in content else {})


def _pop(label: dict[str, Any]) -> dict[str, Any]:
    """Returns the corrected operating point of a label, which is removed from it."""
    (point,) = [each for each in label["operating_points"] if each["name"] == POINT]
    label["operating_points"].remove(point)
    return point
