"""The runs of all folds predict a whole set, and say whose labels are probably wrong."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from sklearn.metrics import roc_auc_score

from trainer.judge.out_of_fold import OutOfFold
from trainer.metrics import evaluation_files, operating_points
from trainer.system.errors import UsageError


@pytest.fixture
def folds(finished: epath.Path, tmp_path: Path) -> list[epath.Path]:
    """Two runs whose test splits are the halves of one, with labels of two images exchanged."""
    found = []
    read = evaluation_files.read_predictions(finished, "test")
    labels = read.scores.labels.copy()
    sure = [np.argmax(read.scores.logits), np.argmin(read.scores.logits)]
    labels[sure] = 1 - labels[sure]
    for number in range(2):
        run = epath.Path(tmp_path / f"fold-{number + 1}")
        shutil.copytree(finished, run, ignore=shutil.ignore_patterns("checkpoints", "pictures"))
        half = slice(number, None, 2)
        scores = read.scores
        part = replace(
            read,
            images=read.images[half],
            patients=read.patients[half],
            scores=scores._replace(
                logits=scores.logits[half].astype(np.float32),
                labels=labels[half],
                weights=scores.weights[half],
            ),
        )
        points = operating_points.choose(part.scores)
        evaluation_files.write(run, part, part.evaluate(points, epoch=1, step=1, seed=0))
        found.append(run)
    return found


def test_every_image_is_pooled_with_the_calibration_of_its_run(folds, tmp_path: Path):
    pooled = OutOfFold.read(folds)
    logits, labels = [], []
    for run in folds:
        (label,) = json.loads((run / "evaluation/test.json").read_text())["labels"].values()
        read = evaluation_files.read_predictions(run, "test").scores
        logits.append(read.logits[:, 0] / label["calibration"]["temperature"])
        labels.append(read.labels[:, 0])
    expected = roc_auc_score(np.concatenate(labels), np.concatenate(logits))
    found = pooled.evaluate()
    assert found["images"] == len(np.concatenate(labels))
    assert found["auc"]["value"] == pytest.approx(expected, abs=1e-6)
    assert found["auc"]["low"] < expected < found["auc"]["high"]
    (label,) = found["labels"].values()
    hits = np.sum((pooled.margins[:, 0] >= 0) == (np.concatenate(labels) > 0.5))
    assert label["operating_points"][0]["accuracy"]["value"] == pytest.approx(
        hits / found["images"]
    )


def test_exchanged_labels_are_listed_for_a_reader_with_a_sheet(folds, finished, tmp_path: Path):
    counts = OutOfFold.read(folds).write_suspects(epath.Path(tmp_path))
    rows = list(csv.DictReader((tmp_path / "label_errors.csv").open()))
    read = evaluation_files.read_predictions(finished, "test")
    sure = {read.images[np.argmax(read.scores.logits)], read.images[np.argmin(read.scores.logits)]}
    assert sure & {row["name"] for row in rows}
    assert counts["PNEUMONIA"]["suspected"] == len(rows)
    assert {row["labelled"] for row in rows} <= {"NORMAL", "PNEUMONIA"}
    assert all(row["labelled"] != row["probably"] for row in rows)
    assert (tmp_path / "label_errors.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_share_test_images_are_no_folds(finished):
    with pytest.raises(UsageError):
        OutOfFold.read([finished, finished])
