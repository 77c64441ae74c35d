"""Evaluations within epochs: when they come, what they choose, and what they leave alone."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.config.schema import default
from trainer.metrics import evaluation_files
from trainer.report import run_page
from trainer.show.logger import Logger
from trainer.system import json_files
from trainer.system.errors import Stopped
from trainer.training.progress import Progress
from trainer.training.run_files import RunFiles

pytestmark = pytest.mark.usefixtures("no_charts")
EVERY, LIMIT = 4, 6  # epochs end at steps 11 and 21


class StopAt(Logger):
    """Sends this process a stop signal in the loop that ends at a step."""

    def __init__(self, step: int):
        self._step = step

    def steps(self, progress, result, timer) -> None:
        if progress.step == self._step:
            os.kill(os.getpid(), signal.SIGTERM)


def trained(config: ConfigDict, workdir: epath.Path, **changes: Any) -> epath.Path:
    """Trains with changed fields `evaluation.*`."""
    config.evaluation.update(changes)
    train.train_and_evaluate(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def new_tiny(new_tiny: Callable[[], ConfigDict]) -> Callable[[], ConfigDict]:
    """The same with what is soonest compiled, without pictures and with every checkpoint."""

    def sooner() -> ConfigDict:
        config = new_tiny()
        config.model.name, config.data.image_size = "article", 48
        config.augment = default().augment
        config.summaries.times, config.checkpoint.keep = 0, 9
        return config

    return sooner


def last(workdir: epath.Path) -> dict[str, np.ndarray]:
    return checkpoint.read(checkpoint.complete(workdir / "checkpoints")[-1])


def untimed(workdir: epath.Path) -> list[dict]:
    """Returns the history without what no two runs have in common."""
    rows = json_files.read(workdir / "history.json", list)
    for row in rows:
        del row["seconds"], row["train"]["images_per_second"], row["train"]["input_wait"]
    return rows


def evaluations(workdir: epath.Path) -> list[dict]:
    return json_files.read(workdir / "evaluations.json", list)


@pytest.fixture(scope="module")
def often(new_tiny: Callable[[], ConfigDict], made_once: Callable[..., epath.Path]) -> epath.Path:
    """A run evaluated at the start and every four steps, on six of the eight images."""
    return made_once("often", lambda out: trained(new_tiny(), out, every_steps=EVERY, limit=LIMIT))


@pytest.fixture(scope="module")
def seldom(new_tiny: Callable[[], ConfigDict], made_once: Callable[..., epath.Path]) -> epath.Path:
    """The same run, evaluated at the ends of its epochs alone."""
    return made_once("seldom", lambda out: trained(new_tiny(), out, at_start=False))


def test_evaluations_come_at_the_start_and_at_steps_that_end_no_epoch(often: epath.Path):
    rows = evaluations(often)
    assert [row["step"] for row in rows] == [0, 4, 8, 12, 16, 20]
    assert [row["reason"] for row in rows] == ["start", *["steps"] * 5]
    assert [row["epochs"] for row in rows] == pytest.approx([0, 4 / 11, 8 / 11, 1.1, 1.5, 1.9])
    assert {row["images"] for row in rows} == {LIMIT}
    shown = EventAccumulator(str(often / "tensorboard/validation"), {"tensors": 0}).Reload()
    curve = [event.step for event in shown.Tensors("metrics/loss")]
    assert curve == [0, 4, 8, 11, 12, 16, 20, 21]


def test_evaluations_between_leave_the_weights_bit_for_bit(often: epath.Path, seldom: epath.Path):
    assert not (seldom / "evaluations.json").exists()
    ours, theirs = last(often), last(seldom)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.tobytes() == theirs[name].tobytes(), name
    assert untimed(often) == untimed(seldom)


@pytest.mark.slow
def test_run_stopped_twice_goes_on_to_the_same_history_and_best_and_sums_its_time(
    often: epath.Path, tiny: ConfigDict, tmp_path
):
    workdir = epath.Path(tmp_path)
    tiny.evaluation.update({"every_steps": EVERY, "limit": LIMIT})
    began = time.perf_counter()
    for step in (8, 16):
        with pytest.raises(Stopped):
            train.train_and_evaluate(tiny, workdir, loggers=[StopAt(step)])
    train.train_and_evaluate(tiny, workdir)
    elapsed = time.perf_counter() - began
    assert evaluations(workdir) == evaluations(often) and untimed(workdir) == untimed(often)
    progress = [
        checkpoint.read_progress(checkpoint.complete(run / "checkpoints")[-1])
        for run in (workdir, often)
    ]
    assert progress[0]["best"] == progress[1]["best"]
    results = [evaluation_files.read(run, "test") for run in (workdir, often)]
    assert results[0] == results[1]
    sessions = json_files.read(workdir / "speed.json")["sessions"]
    assert [session["from_step"] for session in sessions] == [0, 8, 16]
    wall = sum(sum(session["seconds"].values()) for session in sessions)
    spent = run_page.time_spent(sessions)
    assert sum(spent.values()) == pytest.approx(wall) and 0.9 * elapsed < wall <= elapsed
    shown = EventAccumulator(str(workdir / "tensorboard/validation"), {"tensors": 0}).Reload()
    assert [event.step for event in shown.Tensors("metrics/auc")] == [0, 4, 8, 11, 12, 16, 20, 21]


def test_best_is_of_all_at_steps_and_epochs_on_the_same_images_and_is_kept(often: epath.Path):
    at_ends = checkpoint.read_progress(checkpoint.complete(often / "checkpoints")[-1])
    best, rows = at_ends["best"], [row for row in evaluations(often) if row["reason"] == "steps"]
    ranks = [(row["validation"]["auc"], -row["validation"]["loss"]) for row in rows]
    assert (best["auc"], -best["loss"]) >= max(ranks)
    test, run = evaluation_files.read(often, "test"), RunFiles(often)
    assert (test["step"], test["epoch"]) == (best["step"], best["epoch"])
    assert checkpoint.path(often / "checkpoints", best["step"], best["epoch"]).exists()
    assert best["epoch"] <= run.kept_epoch < best["epoch"] + 1


def test_evaluations_by_the_clock_are_shown_and_never_the_best(tiny: ConfigDict, tmp_path):
    tiny.train.epochs = 1
    workdir = trained(tiny, epath.Path(tmp_path), every_minutes=1e-9, at_start=False)
    rows = evaluations(workdir)
    assert rows and {row["reason"] for row in rows} == {"minutes"}
    assert all(0 < row["step"] < 11 for row in rows)
    assert evaluation_files.read(workdir, "test")["step"] == 11


@pytest.mark.parametrize(
    ("reason", "auc", "best"), [("steps", 0.9, 5), ("steps", 0.7, 3), ("minutes", 0.9, 3)]
)
def test_only_an_evaluation_at_a_step_may_replace_the_best(reason: str, auc: float, best: int):
    measured = {"auc": auc, "loss": 0.5}
    progress = Progress(step=5, best={"step": 3, "epoch": 1, "auc": 0.8, "loss": 0.5})
    scores: Any = type("Scores", (), {"logits": [0.0]})
    progress.add_evaluation(
        ["sick"], scores, reason=reason, epochs=1.5, measure=lambda *_: measured
    )
    assert progress.best["step"] == best and progress.evaluations[-1]["epochs"] == 1.5
