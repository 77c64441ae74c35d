"""How well probabilities of one label are calibrated, measured under any weights at little cost."""

import numpy as np
from scipy.special import expit

from trainer.metrics.calibration import BINS
from trainer.metrics.ranking import Ranking, Sums

GROUPS = 512  # of neighbouring log-odds, of which a resample's line is fitted
STEPS = 50  # of Newton's method
FLAT = 1e-10  # determinant, relative to its terms, of a line that is not determined
UNDEFINED = (np.nan, np.nan)


class CalibrationFit:
    """Examples of one label with their calibrated log-odds.

    Slope and intercept are those of a logistic regression of the label on the log-odds (Cox,
    Biometrika 45:562 (1958)); 1 and 0 are perfect, and a slope below 1 is overconfident. They are
    undefined where one class is missing or a threshold separates both.

    Args:
      positive: [n] bool.
      logits: [n] float.

    Attributes:
      ranking: of the examples by their log-odds.
      line: slope and intercept of all examples; those of resamples are fitted to groups.
    """

    NAMES = ("brier", "log_loss", "calibration_error", "calibration_slope", "calibration_intercept")

    def __init__(self, positive: np.ndarray, logits: np.ndarray):
        self.ranking = Ranking(positive, logits)
        ranked, true = logits[self.ranking.order].astype(np.float64), positive[self.ranking.order]
        self._probability = expit(ranked)
        self._squares = (self._probability - true) ** 2
        self._losses = np.logaddexp(0, np.where(true, -ranked, ranked))
        before = np.append(0, np.cumsum(true))  # positives before each rank
        bins = np.minimum((self._probability * BINS).astype(int), BINS - 1)
        ends = np.searchsorted(-bins, -np.arange(BINS, -1, -1), "right")
        self._bins = np.stack([ends, before[ends]])
        groups = np.unique(np.linspace(0, len(ranked), min(GROUPS, len(ranked)) + 1).astype(int))
        self._groups = np.stack([groups, before[groups]])
        sums = np.append(0, np.cumsum(ranked))[groups]
        self._means = np.diff(sums) / np.diff(groups)
        self.line = _line(ranked, np.ones(len(ranked)), true.astype(np.float64))

    def measure(self, counts: np.ndarray, sums: Sums) -> list[float]:
        """Returns the figures of `NAMES`; NaN is undefined.

        Args:
          counts: [n] whole numbers, how often each example counts, in the ranking's order.
          sums: of these counts.
        """
        total = float(sums.every[-1])
        if not total:
            return [np.nan] * len(self.NAMES)
        weights = counts.astype(np.float64)
        expected = np.append(0, np.cumsum(weights * self._probability))[self._bins[0]]
        gaps = np.abs(np.diff(expected) - np.diff(sums.found[self._bins[1]]))
        in_group = np.diff(sums.every[self._groups[0]]).astype(np.float64)
        found = np.diff(sums.found[self._groups[1]])
        # Not by BLAS, whose own threads would wait for one another: this is one of several.
        squares, losses = (np.einsum("i,i", weights, v) for v in (self._squares, self._losses))
        figures = [squares, losses, gaps.sum()]
        return [value / total for value in figures] + [
            *_line(self._means, in_group, found, start=self.line)
        ]


def _line(
    logits: np.ndarray,
    counts: np.ndarray,
    found: np.ndarray,
    *,
    start: tuple[float, float] = UNDEFINED,
) -> tuple[float, float]:
    """Returns slope and intercept of a logistic regression, by Newton's method.

    Args:
      logits: [g] float.
      counts: [g] float, examples with each.
      found: [g] float, positives among them.
      start: where to begin, if it is known.
    """
    positives, total = found.sum(), counts.sum()
    if not 0 < positives < total:
        return UNDEFINED
    flat = (0.0, np.log(positives / (total - positives)))
    line = np.array(start if np.isfinite(start[0]) else flat)
    columns = np.stack([logits, np.ones(len(logits))])

    def loss(line: np.ndarray) -> float:
        scaled = line @ columns
        return float(np.sum(counts * np.logaddexp(0, scaled) - found * scaled))

    for _ in range(STEPS):
        probability = expit(line @ columns)
        hessian = (columns * (counts * probability * (1 - probability))) @ columns.T
        (a, b), (_, d) = hessian
        if not a * d - b * b > FLAT * a * d:
            return UNDEFINED
        u, v = columns @ (found - counts * probability)
        step = np.array([d * u - b * v, a * v - b * u]) / (a * d - b * b)
        if np.abs(step).max() < 1e-9 * max(1.0, np.abs(line).max()):
            return float(line[0]), float(line[1])
        before = loss(line)
        while loss(line + step) > before + 1e-9 * abs(before):  # it went too far
            step = step / 2
        line = line + step
    return UNDEFINED
