"""Bootstrap over patients: resamples, percentile intervals, and means over labels.

Images of one patient are no independent examples, so patients are drawn, each with all images
(Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13).
"""

import os
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import binomtest

from trainer.system import threads

RESAMPLES = 1000
AT_ONCE = 32  # draws that a thread measures before it takes others
CONFIDENCE = 0.95
Interval = dict[str, float | None]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


class Resamples:
    """How often each image counts: once, then in each of many draws of the patients.

    Args:
      patients: [n] patient of each image.
      seed: of the draws.
      resamples: number of draws.
    """

    def __init__(self, patients: Sequence[str], seed: int, resamples: int = RESAMPLES):
        names, self._numbers = np.unique(np.asarray(patients), return_inverse=True)
        random = np.random.default_rng(seed)
        # By patient, a draw at a time and in small integers: no more than the result is in memory.
        self._counts = np.ones((1 + resamples, len(names)), np.uint16)
        for row in self._counts[1:]:
            row[:] = np.bincount(random.integers(len(names), size=len(names)), minlength=len(names))

    def patients(self, images: np.ndarray) -> int:
        """Returns how many patients the images with these numbers are of."""
        return len(np.unique(self._numbers[images]))

    def measure(
        self,
        function: Callable[[np.ndarray], Sequence[float] | np.ndarray],
        images: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns what `function` returns for all images, then for each draw: [1 + draws, m].

        Args:
          function: of how often each image counts, [k] uint16; called in several threads.
          images: [k] int, which images and in which order; by default all.
        """
        numbers = self._numbers if images is None else self._numbers[images]

        def measured(rows: np.ndarray) -> list[Sequence[float] | np.ndarray]:
            return [function(row.take(numbers)) for row in rows]

        parts = (self._counts[at : at + AT_ONCE] for at in range(0, len(self._counts), AT_ONCE))
        cores = len(os.sched_getaffinity(0))
        results = threads.map_in_order(measured, parts, threads=cores)
        return np.array([result for part in results for result in part], np.float64)


def percentiles(resampled: np.ndarray) -> np.ndarray:
    """Returns the ends of the 95 % interval, [2, ...]: percentiles along the first axis.

    Args:
      resampled: [resamples, ...] float; NaN where a resample leaves the value undefined.
    """
    tail = (1 - CONFIDENCE) / 2
    return np.nanquantile(resampled, [tail, 1 - tail], axis=0)


def interval(values: np.ndarray) -> Interval:
    """Returns `value`, `low` and `high`, all None where the value is undefined.

    Args:
      values: [1 + resamples] float as `Resamples.measure` orders them: the value of all images,
        then that of each resample.
    """
    if not np.isfinite(values[0]) or not np.isfinite(values[1:]).any():
        return dict(UNDEFINED)
    low, high = percentiles(values[1:])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def area_interval(values: np.ndarray) -> Interval:
    """Returns `interval(values)`, without ends where all resamples are alike: there are too few."""
    found = interval(values)
    return found | {"low": None, "high": None} if found["low"] == found["high"] else found


def share_interval(values: np.ndarray, patients: int) -> Interval:
    """Returns `interval(values)` of a share, or Wilson's where all resamples are alike.

    Args:
      values: as for `interval`.
      patients: over how many the share is taken.
    """
    found = interval(values)
    if found["value"] is None or found["low"] != found["high"]:
        return found
    hits = round(found["value"] * patients)
    ends = binomtest(hits, patients).proportion_ci(CONFIDENCE, method="wilson")
    return found | {"low": float(ends.low), "high": float(ends.high)}


def mean_over_labels(values: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the mean over labels, of those that are defined in each resample.

    Args:
      values: K arrays [1 + resamples] float, NaN where a label is undefined.

    Returns:
      [1 + resamples] float; NaN where no label is defined.
    """
    if not len(values):
        return np.array([np.nan])
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0).sum(0) / defined.sum(0)
