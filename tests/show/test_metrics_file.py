"""`metrics.csv` has a row for each finished epoch, and none for one that was taken back."""

import csv
from types import SimpleNamespace

from etils import epath

from trainer.show.metrics_file import MetricsFile


def row(epoch: int, auc: float | None) -> dict:
    labels = {"A, or B": {"auc": auc}}
    return {"epoch": epoch, "train": {"loss": 0.5}, "validation": {"auc": auc, "labels": labels}}


def test_a_table_has_the_epochs_of_the_history_alone(tmp_path: epath.Path):
    workdir = epath.Path(tmp_path)
    log, progress = MetricsFile(), SimpleNamespace(history=[])
    log.begin(SimpleNamespace(workdir=workdir), progress, {})
    assert (workdir / "metrics.csv").read_text() == ""
    progress.history += [row(1, 0.75), row(2, None)]
    log.epoch(progress, None)
    with open(tmp_path / "metrics.csv") as file:
        first, second = csv.DictReader(file)
    columns = ["epoch", "train.loss", "validation.auc", "validation.labels.A, or B.auc"]
    assert list(first) == columns
    assert list(first.values()) == ["1", "0.5", "0.75", "0.75"] and second["validation.auc"] == ""
    taken_back = SimpleNamespace(history=progress.history[:1])
    MetricsFile().begin(SimpleNamespace(workdir=workdir), taken_back, {})
    assert len((workdir / "metrics.csv").read_text().splitlines()) == 2
