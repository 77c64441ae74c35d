"""The trial of a hyperparameter search, which is told the metric of each epoch."""

from collections.abc import Callable, Mapping
from typing import Any

from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.training.progress import Progress
from trainer.training.run import Run


class TrialLog(Logger):
    """Reports after each epoch the validation AUC of what the run would keep if it ended then.

    Args:
      report: takes the AUC, None where it is not defined, and the number of epochs so far.
    """

    def __init__(self, report: Callable[[float | None, int], None]):
        self._report = report

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Notes what the run keeps."""
        self._result = run.config.checkpoint.result

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Reports the epoch."""
        self._report(progress.kept(self._result)["auc"], progress.epoch)
