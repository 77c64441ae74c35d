"""`history.json`: a row of metrics for each finished epoch; `evaluations.json`: those between."""

from collections.abc import Mapping
from typing import Any

from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.system import atomic
from trainer.training.progress import Progress
from trainer.training.run import Run


class HistoryFile(Logger):
    """Keeps both files in the work directory equal to the progress of the run."""

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Writes the epochs that are finished: after a restart these may be fewer than before."""
        self._file, self._between = (run.workdir / f"{n}.json" for n in ("history", "evaluations"))
        atomic.write_json(self._file, progress.history)
        self.evaluation(progress)

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Writes the epoch's row."""
        atomic.write_json(self._file, progress.history)

    def evaluation(self, progress: Progress) -> None:
        """Writes the row of an evaluation between, if there is any."""
        if progress.evaluations or self._between.exists():
            atomic.write_json(self._between, progress.evaluations)
