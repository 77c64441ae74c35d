"""Evaluation writes a row an image, and fixes its threshold on validation."""

import csv

import numpy as np
from etils import epath

from trainer import evaluate, metrics
from trainer.data import pipeline
from trainer.step import Scores


def scores_of(split: pipeline.Split, seed: int = 0) -> Scores:
    pixels = pipeline.pixels(split, 16, "none")
    labels = next(iter(pipeline.evaluation_batches(pixels, split.size)))["label"].numpy()[:, 0]
    noise = np.random.default_rng(seed).normal(size=split.size).astype(np.float32)
    return Scores(2 * labels - 1 + noise, labels, np.ones(split.size, np.float32))


def test_every_image_has_its_row_and_the_summary_follows_from_them(
    phantoms: epath.Path, tmp_path: epath.Path
):
    split = pipeline.open_split(phantoms, "test")
    scores = scores_of(split)
    best = {"epoch": 3, "step": 30}
    result = evaluate.write(epath.Path(tmp_path), split, scores, {"half": 0.5}, best, seed=0)
    with (tmp_path / "evaluation/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    names, patients = pipeline.identities(split)
    assert [row["name"] for row in rows] == names and [r["patient"] for r in rows] == patients
    sick = np.array(["person" in name for name in names])
    np.testing.assert_array_equal(sick, [row["label"] == "1" for row in rows])
    called = np.array([float(row["score"]) >= 0.5 for row in rows])
    assert result["operating_points"][0]["accuracy"]["value"] == np.mean(called == sick)
    assert result["patients"] == len(set(patients)) and result["epoch"] == 3
    assert str(split.size) in evaluate.table(result)


def test_the_operating_points_are_half_and_what_validation_chose(phantoms: epath.Path):
    validation = scores_of(pipeline.open_split(phantoms, "validation"), seed=1)
    points = evaluate.operating_points(validation)
    probability = metrics.probabilities(validation.logits)
    assert points[evaluate.HALF] == 0.5
    expected = metrics.youden_threshold(validation.labels > 0.5, probability)
    assert points[evaluate.CHOSEN] == expected
