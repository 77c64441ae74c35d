"""Bootstrap over patients: resamples, percentile intervals, and means over labels.

Images of one patient are no independent examples, so patients are drawn, each with all images
(Efron and Tibshirani, An Introduction to the Bootstrap, ch. 13).
"""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 1000
CONFIDENCE = 0.95
Interval = dict[str, float | None]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


def resampled_counts(patients: Sequence[str], seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Returns how often each image counts: once in the first row, then in each resample.

    Args:
      patients: [n] patient of each image.
      seed: of the draws.
      resamples: number of resamples of the patients.

    Returns:
      [1 + resamples, n] float32 whole numbers, whose sums are exact.
    """
    names, patient_numbers = np.unique(np.asarray(patients), return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(names), size=(resamples, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in drawn])
    counts = np.vstack([np.ones_like(counts[:1]), counts])
    return counts.astype(np.float32)[:, patient_numbers]


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
      values: [1 + resamples] float as `resampled_counts` orders them: the value of all images,
        then that of each resample.
    """
    if not np.isfinite(values[0]) or not np.isfinite(values[1:]).any():
        return dict(UNDEFINED)
    low, high = percentiles(values[1:])
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


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
