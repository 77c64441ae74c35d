"""Files of a finished run, read back."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from etils import epath, epy
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data.summary_file import with_fingerprint
from trainer.system import environment, gcs, json_files
from trainer.system.errors import UsageError
from trainer.training.patience import rank

if TYPE_CHECKING:
    from trainer.metrics.label_result import LabelResult

with epy.lazy_imports():  # what a run that is not there does without
    import numpy as np

    from trainer.metrics import evaluation_files

SPLITS = ("validation", "test")
FILES = (
    "config.json",
    "environment.json",
    "data_summary.json",
    "history.json",
    *(f"evaluation/{split}.{kind}" for split in SPLITS for kind in ("json", "csv")),
)
PRETRAINED = "pretrained.json"  # of a pretraining that is finished, which is not evaluated
OF_NETWORK = ("config.json", "data_summary.json", "evaluation/test.json")  # to use it


class RunFiles:
    """Files of a finished run, each read when it is first asked for.

    Every property raises a UsageError where its file cannot be read.

    Args:
      workdir: local or remote work directory of the run.
      needed: files that must exist; by default all that a finished run has.

    Raises:
      UsageError: the directory or a needed file is missing, or no epoch is finished.
    """

    def __init__(self, workdir: epath.PathLike, needed: Sequence[str] = FILES):
        self.workdir = epath.Path(workdir)
        if not gcs.is_folder(self.workdir):
            raise UsageError(
                f"there is no run at {workdir}: give the work directory of a finished training."
            )
        missing = [name for name in needed if not (self.workdir / name).exists()]
        if missing and self.is_pretraining:
            raise UsageError(
                f"{workdir} is a pretraining, whose network predicts nothing yet: train one from "
                f"it with --config.model.weights={workdir}."
            )
        if missing:
            raise UsageError(f"{workdir} lacks {', '.join(missing)}: {self._advice()}")
        if "history.json" in needed and not self.history:
            raise UsageError(f"{workdir} has finished no epoch yet: {self._advice()}")

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.workdir.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json."""
        return json_files.read(self.workdir / "config.json")

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of its config by their dotted names."""
        return dict(schema.fields(ConfigDict(self.config)))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The content of environment.json."""
        return json_files.read(self.workdir / "environment.json")

    @property
    def is_pretraining(self) -> bool:
        """Whether its network learns without labels, and predicts nothing."""
        exists = (self.workdir / "config.json").exists()
        return exists and bool(self.settings.get("pretrain.method"))

    @property
    def starts(self) -> list[dict[str, Any]]:
        """Every start of the run, the first one first."""
        return environment.starts(self.environment)

    @property
    def started(self) -> datetime:
        """When the run was started."""
        return datetime.fromisoformat(self.environment["started"])

    @cached_property
    def data(self) -> dict[str, Any]:
        """The content of data_summary.json."""
        return json_files.read(self.workdir / "data_summary.json")

    @property
    def dataset_fingerprint(self) -> str:
        """The identity of its data set."""
        with json_files.damage_reported(self.workdir / "data_summary.json"):
            return with_fingerprint(self.data)["dataset_fingerprint"]

    @cached_property
    def audit(self) -> dict[str, Any] | None:
        """The audit of its data set, None where there is none."""
        file = self.workdir / "audit.json"
        return json_files.read(file) if file.exists() else None

    @cached_property
    def model(self) -> dict[str, Any] | None:
        """The content of model.json, None for a run of a version that wrote none."""
        file = self.workdir / "model.json"
        return json_files.read(file) if file.exists() else None

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """The content of history.json: an entry for each epoch."""
        return json_files.read(self.workdir / "history.json", list)

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """The content of evaluations.json: those that are not at the end of an epoch, if any."""
        file = self.workdir / "evaluations.json"
        return json_files.read(file, list) if file.exists() else []

    @cached_property
    def speed(self) -> dict[str, Any] | None:
        """The content of speed.json, None for a run of a version that wrote none."""
        file = self.workdir / "speed.json"
        return json_files.read(file) if file.exists() else None

    @property
    def kept_epoch(self) -> float:
        """Epochs after which the weights were kept, with a fraction within an epoch."""
        step, epoch = self.test["step"], self.test["epoch"]
        within = {row["step"]: row["epochs"] for row in self.evaluations}
        return within.get(step, epoch)

    @property
    def best_by(self) -> str:
        """The metric of validation that chooses the best epoch, see `patience.rank`."""
        return self.settings.get("checkpoint.best_by", "auc")

    @property
    def best_and_last(self) -> list[dict[str, Any]]:
        """The best and the last epoch on validation, as in history.json; one where they are one."""
        best = max(self.history, key=lambda row: rank(row["validation"], self.best_by))
        return [best] if best is self.history[-1] else [best, self.history[-1]]

    @property
    def best_on_test(self) -> dict[str, Any] | None:
        """The epoch that the test images would have chosen; None where they were not looked at."""
        looked_at = [row for row in self.history if row.get("test")]
        return max(looked_at, key=lambda row: rank(row["test"], self.best_by), default=None)

    @property
    def seconds(self) -> float:
        """Duration of its epochs, validation included."""
        return sum(epoch["seconds"] for epoch in self.history)

    def median(self, measure: str) -> float | None:
        """Returns a measure of training in the median epoch, since the first one also compiles."""
        values = [epoch["train"][measure] for epoch in self.history]
        values = [value for value in values if value is not None]
        return float(np.median(values)) if values else None

    @cached_property
    def validation(self) -> dict[str, Any]:
        """The evaluation of the validation split."""
        return evaluation_files.read(self.workdir, "validation")

    @cached_property
    def test(self) -> Mapping[str, Any]:
        """The evaluation of the test split."""
        return evaluation_files.read(self.workdir, "test")

    @property
    def labels(self) -> list[str]:
        """Names of the labels that its network predicts."""
        return list(self.test["labels"])

    @cached_property
    def test_results(self) -> "list[LabelResult]":
        """Each label of the test split."""
        return evaluation_files.read_label_results(self.workdir, "test")

    @cached_property
    def test_images(self) -> list[str]:
        """Names of the test images, in order."""
        return evaluation_files.read_image_names(self.workdir, "test")

    def _advice(self) -> str:
        """Returns how to finish the run, with its own command where that is known."""
        runs = sorted(file.parent.name for file in self.workdir.glob("*/config.json"))
        if runs and not (self.workdir / "config.json").exists():
            more = "" if len(runs) < 4 else f" and {len(runs) - 3} more"
            return f"it holds the runs {', '.join(runs[:3])}{more}: name one or several of them."
        try:
            command = json.loads((self.workdir / "environment.json").read_text())["command"]
        except (OSError, *json_files.DAMAGE):
            return "train it to the end first."
        return f"train it to the end with `{command}` first."


def initial_run(workdir: epath.PathLike) -> RunFiles:
    """Returns a run whose weights another one may begin with.

    Raises:
      UsageError: there is none, or it is not finished.
    """
    run = RunFiles(workdir, ["config.json"])
    if not run.is_pretraining:
        return RunFiles(workdir, OF_NETWORK)
    if not (run.workdir / PRETRAINED).exists():
        raise UsageError(
            f"model.weights={workdir} is a pretraining that is not finished: give its command "
            "again to finish it, or name another run."
        )
    return run
