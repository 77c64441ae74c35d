"""Conformal sets at any coverage, as an export has them: the scores that decide, in one table."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.metrics.conformal import ConformalSets
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores

FILE = "conformal.json"
COVERAGES = (*(percent / 100 for percent in range(50, 100)), 0.995, 0.999)


@dataclass(frozen=True)
class ConformalTable:
    """The sets of each of `COVERAGES`.

    Attributes:
      images: of validation, which they were computed from.
      least: [C, 2, K] float64, `ConformalSets.least` of each coverage.
      outputs: what the log-odds are.
    """

    images: int
    least: np.ndarray
    outputs: IndependentLabels

    @classmethod
    def calibrate(cls, validation: Scores) -> "ConformalTable":
        """Returns the table of the scores of validation."""
        sets = [ConformalSets.calibrate(validation, coverage) for coverage in COVERAGES]
        return cls(len(validation.labels), np.stack([s.least for s in sets]), validation.outputs)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ConformalTable":
        """Returns what `as_dict` gave.

        Raises:
          ValueError, LookupError or TypeError: it is of another form.
        """
        if tuple(content["coverages"]) != COVERAGES:
            raise ValueError("its coverages are not those of this version")
        least = np.array(content["least"], float)  # of None it makes NaN
        least[np.isnan(least)] = -math.inf
        if least.ndim != 3 or least.shape[:2] != (len(COVERAGES), 2):
            raise ValueError("its table is of another shape")
        return cls(content["images"], least, EXCLUSIVE if content["exclusive"] else INDEPENDENT)

    def as_dict(self) -> dict[str, Any]:
        """Returns all as JSON can hold it, with null for -inf."""
        finite = [
            [[score if math.isfinite(score) else None for score in row] for row in rows]
            for rows in self.least.tolist()
        ]
        return {
            "images": self.images,
            "exclusive": self.outputs.exclusive,
            "coverages": list(COVERAGES),
            "least": finite,
        }

    def sets(self, coverage: float) -> ConformalSets:
        """Returns the sets of a coverage: of the next in the table that is no smaller.

        Raises:
          ValueError: it is not within the table.
        """
        row = int(np.searchsorted(COVERAGES, coverage - 1e-9))
        if not COVERAGES[0] <= coverage or row == len(COVERAGES):
            raise ValueError(f"a coverage is {COVERAGES[0]:g} to {COVERAGES[-1]:g}, not {coverage}")
        return ConformalSets(COVERAGES[row], self.least[row], self.outputs)

    @property
    def highest(self) -> float | None:
        """The highest coverage that validation has images enough for; None if it has for none."""
        enough = np.isfinite(self.least).all((1, 2)).nonzero()[0]
        return COVERAGES[enough[-1]] if enough.size else None

    def limit(self) -> str:
        """Returns in a sentence up to which coverage validation has images enough, or ""."""
        if self.highest == COVERAGES[-1]:
            return ""
        up_to = f"up to a coverage of {self.highest:g}" if self.highest else "for no coverage"
        return (
            f"Validation has images enough of every class {up_to}; beyond that some classes are in "
            "every set."
        )
