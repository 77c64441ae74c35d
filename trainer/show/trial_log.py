"""The trial of a hyperparameter search, which is told the metric of each epoch."""

from collections.abc import Callable

from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.training.progress import Progress


class TrialLog(Logger):
    """Reports each epoch's validation AUC.

    Args:
      report: takes the AUC, None where it is not defined, and the epoch.
    """

    def __init__(self, report: Callable[[float | None, int], None]):
        self._report = report

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Reports the epoch."""
        self._report(progress.history[-1]["validation"]["auc"], progress.epoch)
