"""DeLong's variance of the AUC, and his test of two AUCs on the same examples.

DeLong et al., Biometrics 44:837 (1988), by ranks: Sun and Xu, IEEE Signal Process. Lett. 21:1389
(2014). It takes examples as independent: where patients have several images each, intervals over
patients are the wider and the better ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from trainer.metrics.bootstrap import CONFIDENCE


class AucTest(NamedTuple):
    """Two AUCs on the same examples; NaN where one class has fewer than two.

    Attributes:
      first: AUC.
      other: AUC.
      difference: the other less the first.
      low: of its 95 % interval.
      high: of its 95 % interval.
      p: of the two-sided test that there is none; 1 where both rank all examples alike.
    """

    first: float
    other: float
    difference: float
    low: float
    high: float
    p: float


def covariance(positive: np.ndarray, scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the AUC of each score, [s], and their covariance, [s, s]; NaN where undefined.

    Args:
      positive: [n] bool.
      scores: s arrays [n] float; ties count half.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        return np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan)
    of_positives, of_negatives = [], []
    for score in scores:
        ranks = rankdata(score)
        # The share of the other class that each example is ranked right against.
        of_positives.append((ranks[positive] - rankdata(score[positive])) / n)
        of_negatives.append(1 - (ranks[~positive] - rankdata(score[~positive])) / m)
    within = [np.atleast_2d(np.cov(shares)) for shares in (of_positives, of_negatives)]
    return np.mean(of_positives, axis=1), within[0] / m + within[1] / n


def test(positive: np.ndarray, first: np.ndarray, other: np.ndarray) -> AucTest:
    """Returns whether two scores of the same examples differ in their AUC.

    Args:
      positive: [n] bool.
      first: [n] float.
      other: [n] float.
    """
    (auc, other_auc), matrix = covariance(positive, [first, other])
    difference = other_auc - auc
    error = np.sqrt(max(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1], 0.0))
    half = norm.ppf((1 + CONFIDENCE) / 2) * error
    p = 2 * norm.sf(abs(difference) / error) if error > 0 else 1.0
    if np.isnan(difference):
        half = p = np.nan
    return AucTest(
        *map(float, (auc, other_auc, difference, difference - half, difference + half, p))
    )
