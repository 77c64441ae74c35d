"""`metrics.csv`: a row of metrics for each finished epoch, for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.metrics.scores import Scores
from trainer.show.logger import Logger
from trainer.system import atomic
from trainer.training.progress import Progress
from trainer.training.run import Run


class MetricsFile(Logger):
    """Keeps `metrics.csv` in the work directory equal to the history of the run."""

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Writes the epochs that are finished: after a restart these may be fewer than before."""
        self._file = run.workdir / "metrics.csv"
        atomic.write_text(self._file, table(progress.history))

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Writes the epoch's row."""
        atomic.write_text(self._file, table(progress.history))


def table(history: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rows of a history as CSV, with columns such as `validation.auc`.

    What is not defined is empty; without any epoch so is the table.
    """
    rows = [dict(_flattened(row)) for row in history]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if rows:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flattened(row: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
