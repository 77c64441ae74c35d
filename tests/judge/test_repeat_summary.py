"""Seeds are summed up as their mean, their standard deviation, and their ensemble."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from sklearn.metrics import roc_auc_score

from trainer.judge import repeat_summary
from trainer.metrics import evaluation_files, operating_points


def predictions(run: epath.PathLike, split: str) -> evaluation_files.Predictions:
    return evaluation_files.read_predictions(epath.Path(run), split)


@pytest.fixture
def runs(finished: epath.Path, tmp_path: Path) -> list[Path]:
    """A finished run, and another of the same config whose scores are half noise."""
    ignored = shutil.ignore_patterns("checkpoints", "pictures", "tensorboard")
    found = [tmp_path / "seed-0", tmp_path / "seed-1"]
    for run in found:
        shutil.copytree(finished, run, ignore=ignored)
    noise, other = np.random.default_rng(0), epath.Path(found[1])
    noisy = {}
    for split in ("validation", "test"):
        read = predictions(other, split)
        scores = read.scores
        logits = scores.logits + noise.normal(0, 1, scores.logits.shape)
        noisy[split] = replace(read, scores=scores._replace(logits=logits.astype(np.float32)))
    points = operating_points.choose(noisy["validation"].scores)
    for each in noisy.values():
        evaluation_files.write(other, each, each.evaluate(points, epoch=1, step=1, seed=0))
    return found


def test_figures_of_seeds_have_mean_deviation_and_those_of_the_ensemble(runs: list[Path]):
    rows = repeat_summary.summarize(runs)["test"]
    assert list(rows) == ["seed-0", "seed-1", "mean", "sd", "ensemble"]
    both = [rows["seed-0"]["AUC"], rows["seed-1"]["AUC"]]
    assert both[0] != both[1]
    assert rows["mean"]["AUC"] == pytest.approx(np.mean(both))
    assert rows["sd"]["AUC"] == pytest.approx(abs(both[0] - both[1]) / np.sqrt(2))

    calibrated = []
    for run in runs:
        (label,) = evaluation_files.read(epath.Path(run), "test")["labels"].values()
        read = predictions(run, "test").scores
        calibrated.append(read.logits[:, 0] / label["calibration"]["temperature"])
    expected = roc_auc_score(read.labels[:, 0], np.mean(calibrated, axis=0))
    assert rows["ensemble"]["AUC"] == pytest.approx(expected, abs=1e-6)
    for line in repeat_summary.table(rows, "validation").splitlines():
        assert len(line) <= 80


def test_one_seed_has_neither_deviation_nor_ensemble(runs: list[Path]):
    rows = repeat_summary.summarize(runs[:1])["validation"]
    assert list(rows) == ["seed-0", "mean", "sd"]
    assert rows["mean"] == rows["seed-0"] and rows["sd"]["AUC"] is None
