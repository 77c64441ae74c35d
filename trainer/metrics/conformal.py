"""Conformal sets: all classes that an image may be of, which hold the true one as often as stated.

Of each class on its own: among images that are really of it, the share whose set holds it is the
coverage, on average over draws of the validation images and of the new one (Vovk, ACML 2012;
Sadinle et al., JASA 114:223 (2019)). That holds where new images and those of validation are
exchangeable: drawn alike, from the same patients, devices and readers. Of another hospital's
nothing is promised, and only an evaluation there tells.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.metrics.outputs import IndependentLabels
from trainer.metrics.scores import Scores


@dataclass(frozen=True)
class ConformalSets:
    """What decides which classes are in an image's set.

    Attributes:
      coverage: share of the images of each class whose set holds it.
      least: [2, K] float64, the score from which on an image may lack, or have, each label; the
        score is the log-odds of that. It is -inf where validation has too few images of a class.
      outputs: what the log-odds are.
    """

    coverage: float
    least: np.ndarray
    outputs: IndependentLabels

    @classmethod
    def calibrate(cls, validation: Scores, coverage: float) -> "ConformalSets":
        """Returns the sets of a coverage between 0 and 1, from the scores of validation."""
        columns = list(zip(validation.logits.T, validation.labels.T, strict=True))
        sides = [
            [_least(sign * logits[labels == side], coverage) for logits, labels in columns]
            for side, sign in ((0, -1), (1, 1))
        ]
        return cls(coverage, np.array(sides), validation.outputs)

    def sets(self, logits: np.ndarray) -> np.ndarray:
        """Returns whether an image may lack, and may have, each label: [2, n, K] bool.

        Args:
          logits: log-odds, [n, K], of the same network and not calibrated.
        """
        return np.stack([-logits, logits]) >= self.least[:, None]

    def names(
        self, logits: np.ndarray, labels: Sequence[str], classes: Sequence[str] = ()
    ) -> list[list[str]]:
        """Returns the classes in the set of each image.

        Of a label without named classes they are "no LABEL" and "LABEL"; of classes that exclude
        one another they are the labels.

        Args:
          logits: log-odds, [n, K].
          labels: the K labels.
          classes: the two class names where K is 1, the negative one first; else none.
        """
        lacks, has = self.sets(logits)
        if self.outputs.exclusive:
            return [list(itertools.compress(labels, row)) for row in has]
        pairs = [classes] if classes else [(f"no {label}", label) for label in labels]
        both = np.stack([lacks, has], axis=2).reshape(len(logits), -1)
        return [list(itertools.compress(itertools.chain(*pairs), row)) for row in both]

    def reached(self, scores: Scores) -> np.ndarray:
        """Returns the coverage that is reached, [2, K]: of images that lack each label, or have it.

        It is NaN where there are none.
        """
        sets, sides = self.sets(scores.logits), np.stack([scores.labels == side for side in (0, 1)])
        with np.errstate(invalid="ignore"):
            return (sets & sides).sum(1) / sides.sum(1)


def needed(coverage: float) -> int:
    """Returns how many validation images of a class it takes to leave it out of any set."""
    return math.ceil(1 / (1 - coverage) - 1e-9) - 1


def _least(scores: np.ndarray, coverage: float) -> float:
    """Returns the score that as many of n + 1 exchangeable ones reach as are to be covered."""
    rank = math.floor((len(scores) + 1) * (1 - coverage) + 1e-9)
    return -math.inf if rank < 1 else float(np.sort(scores)[rank - 1])
