"""`history.json`: a row of metrics for each finished epoch."""

from collections.abc import Mapping
from typing import Any

from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.system import atomic
from trainer.training.progress import Progress
from trainer.training.run import Run


class HistoryFile(Logger):
    """Keeps `history.json` in the work directory equal to the history of the run."""

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Writes the epochs that are finished: after a restart these may be fewer than before."""
        self._file = run.workdir / "history.json"
        atomic.write_json(self._file, progress.history)

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Writes the epoch's row."""
        atomic.write_json(self._file, progress.history)
