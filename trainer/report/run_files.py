"""What a finished run has left, read back."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from etils import epath

from trainer.system import gcs
from trainer.system.errors import UsageError

SPLITS = ("validation", "test")
RECORDS = (
    "config.json",
    "environment.json",
    "data_summary.json",
    "history.json",
    *(f"evaluation/{split}.{kind}" for split in SPLITS for kind in ("json", "csv")),
)


@dataclass(frozen=True)
class Run:
    """The records of a finished run, each as its file has it.

    Attributes:
      workdir: of the run.
      config, environment, data, history: from the file of that name.
      validation, test: evaluations of the kept epoch.
      audit: of its data set, None where there is none.
    """

    workdir: epath.Path
    config: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    history: list[dict[str, Any]]
    validation: dict[str, Any]
    test: dict[str, Any]
    audit: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.workdir.name

    @property
    def labels(self) -> list[str]:
        """What its network tells."""
        return list(self.test["labels"])

    @property
    def started(self) -> datetime:
        """When it was begun."""
        return datetime.fromisoformat(self.environment["started"])

    @property
    def seconds(self) -> float:
        """How long its epochs took, validation included."""
        return sum(epoch["seconds"] for epoch in self.history)

    def typical(self, measure: str) -> float | None:
        """Returns a measure of training in its median epoch, since the first one also compiles."""
        values = [epoch["train"][measure] for epoch in self.history]
        values = [value for value in values if value is not None]
        return float(np.median(values)) if values else None


def read(workdir: epath.PathLike) -> Run:
    """Reads a run.

    Args:
      workdir: local or remote work directory of a finished run.

    Raises:
      UsageError: the directory or one of its records is missing or cannot be read.
    """
    workdir = epath.Path(workdir)
    if not gcs.is_folder(workdir):
        raise UsageError(
            f"there is no run at {workdir}: give the work directory of a finished training."
        )
    missing = [name for name in RECORDS if not (workdir / name).exists()]
    if missing:
        raise UsageError(f"{workdir} lacks {', '.join(missing)}: {_advice(workdir)}")
    history = _json(workdir / "history.json")
    if not history:
        raise UsageError(f"{workdir} has finished no epoch yet: {_advice(workdir)}")
    audit = workdir / "audit.json"
    return Run(
        workdir,
        *(_json(workdir / name) for name in RECORDS[:3]),
        history,
        *(_json(workdir / f"evaluation/{split}.json") for split in SPLITS),
        _json(audit) if audit.exists() else None,
    )


def images_tested(run: Run) -> Sequence[str]:
    """Returns the names of the images that the run was tested on, in order.

    Raises:
      UsageError: they cannot be read.
    """
    file = run.workdir / "evaluation/test.csv"
    try:
        rows = csv.DictReader(io.StringIO(file.read_text(), newline=""))
        return [row["name"] for row in rows]
    except (ValueError, KeyError) as error:
        raise _unreadable(file, error) from error


def settings(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the fields of a nested config by their dotted names, and what they hold."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _advice(workdir: epath.Path) -> str:
    """How to finish the run, with its own command where that is known."""
    try:
        command = json.loads((workdir / "environment.json").read_text())["command"]
    except (OSError, ValueError, KeyError):
        return "train it to the end, then ask for the report again."
    return f"train it to the end with `{command}`, then ask for the report again."


def _json(file: epath.Path) -> Any:
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: epath.Path, error: Exception) -> UsageError:
    return UsageError(f"{file} cannot be read ({error}): train or evaluate the run again.")
