"""A run that ends early: where, what it chooses, and that a resumed one does likewise."""

import shutil
from collections.abc import Callable

import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.metrics import evaluation_files
from trainer.system import json_files
from trainer.training import run_listing
from trainer.training.patience import is_exhausted, reductions

EPOCHS, PATIENCE = 12, 2
TIMINGS = ("seconds", "images_per_second", "input_wait")


def wandering(config: ConfigDict) -> ConfigDict:
    """Returns a config whose validation gets worse soon, with all that is mixed and erased."""
    config.summaries.times, config.model.stages, config.evaluation.at_start = 0, 1, False
    config.train.epochs, config.train.patience = EPOCHS, PATIENCE
    config.schedule.name, config.schedule.plateau_epochs = "plateau", 1
    config.optimizer.name, config.optimizer.learning_rate = "sgd", 3.0
    config.checkpoint.best_by, config.checkpoint.result = "loss", "last"
    config.evaluation.test_each_epoch = True
    config.checkpoint.keep, config.checkpoint.every_steps = 99, 5
    config.loggers = "terminal"
    config.augment.mixup, config.augment.cutmix, config.augment.erase = 0.4, 1.0, 0.3
    config.augment.collimate = 0.2
    return config


def history(workdir: epath.Path) -> list[dict]:
    rows = json_files.read(workdir / "history.json", list)
    return [
        {**row, "seconds": 0, "train": {k: v for k, v in row["train"].items() if k not in TIMINGS}}
        for row in rows
    ]


@pytest.fixture(scope="module")
def whole(new_tiny: Callable[[], ConfigDict], made_once: Callable[..., epath.Path]) -> epath.Path:
    config = wandering(new_tiny())
    return made_once("early", lambda workdir: train.train_and_evaluate(config, workdir))


def test_training_ends_where_patience_does_and_lowers_the_rate_on_the_way(whole: epath.Path):
    rows = history(whole)
    assert PATIENCE < len(rows) < EPOCHS
    assert is_exhausted(rows, "loss", PATIENCE) and not is_exhausted(rows[:-1], "loss", PATIENCE)
    factors = [0.5 ** reductions(rows[:n], "loss", 1) for n in range(1, len(rows) + 1)]
    rates = [row["train"]["learning_rate"] for row in rows]
    assert rates[-1] < 3.0
    np.testing.assert_allclose(rates, 3.0 * np.array(factors), rtol=1e-6)
    (listed,) = run_listing.below(whole)
    assert (listed.state, listed.epoch, listed.epochs) == ("finished", len(rows), EPOCHS)


def test_best_is_by_the_loss_and_the_last_is_evaluated_as_was_asked_for(whole: epath.Path):
    newest = checkpoint.complete(whole / "checkpoints")[-1]
    best = checkpoint.read_progress(newest)["best"]
    rows = history(whole)
    assert all(row["test"].keys() == row["validation"].keys() for row in rows)
    assert best["loss"] == min(row["validation"]["loss"] for row in rows)
    assert best["epoch"] == len(rows) - PATIENCE
    assert evaluation_files.read(whole, "test")["epoch"] == len(rows)
    page = (whole / "report.html").read_text()
    assert f"On validation the best epoch ({best['epoch']}) has an AUC of" in page
    assert "which was not chosen by validation" in page


def test_a_run_that_is_killed_comes_to_the_same_weights_and_ends_in_the_same_epoch(
    whole: epath.Path, tiny: ConfigDict, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train, "evaluate_chosen", lambda *given, saver: None)
    workdir = epath.Path(tmp_path) / "run"
    shutil.copytree(whole, workdir)
    *_, before, end = checkpoint.complete(workdir / "checkpoints")
    _, epoch = checkpoint.step_and_epoch(before)
    assert reductions(history(whole)[:epoch], "loss", 1) > 0  # the rate is lower there
    shutil.rmtree(end)
    train.train_and_evaluate(wandering(tiny), workdir)
    assert history(workdir) == history(whole)
    ours, theirs = (
        checkpoint.read(checkpoint.complete(run / "checkpoints")[-1]) for run in (workdir, whole)
    )
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.tobytes() == theirs[name].tobytes(), name
