"""Evaluation writes a row an image, and fixes its threshold on validation."""

import csv
import dataclasses

import numpy as np
import pytest
from etils import epath

from trainer import evaluate, metrics
from trainer.data import examples, pipeline
from trainer.step import Scores


def scores_of(split: pipeline.Split, seed: int = 0) -> Scores:
    pixels = pipeline.pixels(split, 16, "none")
    labels = next(iter(pipeline.evaluation_batches(pixels, split.size)))["label"].numpy()
    noise = np.random.default_rng(seed).normal(size=labels.shape).astype(np.float32)
    return Scores(2 * labels - 1 + noise, labels, np.ones(split.size, np.float32))


def test_every_image_has_its_row_and_the_summary_follows_from_them(
    phantoms: epath.Path, tmp_path: epath.Path
):
    split = pipeline.open_split(phantoms, "test")
    scores = scores_of(split)
    best = {"epoch": 3, "step": 30}
    result = evaluate.write(epath.Path(tmp_path), split, scores, {"half": [0.5]}, best, seed=0)
    with (tmp_path / "evaluation/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    names, patients = examples.identities(split)
    assert [row["name"] for row in rows] == names and [r["patient"] for r in rows] == patients
    sick = np.array(["person" in name for name in names])
    np.testing.assert_array_equal(sick, [row["label"] == "1" for row in rows])
    called = np.array([float(row["score"]) >= 0.5 for row in rows])
    (of,) = result["labels"].values()
    assert of["operating_points"][0]["accuracy"]["value"] == np.mean(called == sick)
    assert result["patients"] == len(set(patients)) and result["epoch"] == 3
    assert str(split.size) in evaluate.table(result)


def test_the_operating_points_are_half_and_what_validation_chose(phantoms: epath.Path):
    validation = scores_of(pipeline.open_split(phantoms, "validation"), seed=1)
    points = evaluate.operating_points(validation)
    probability = metrics.probabilities(validation.logits)
    assert points[evaluate.HALF] == [0.5]
    expected = metrics.youden_threshold(validation.labels[:, 0], probability[:, 0])
    assert points[evaluate.CHOSEN] == [expected]


def test_of_several_labels_each_has_its_columns_and_what_is_not_known_is_blank(
    phantoms: epath.Path, tmp_path: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    one = pipeline.open_split(phantoms, "test")
    split = dataclasses.replace(one, labels=["a", "b"], classes=[])
    given = scores_of(one)
    labels = np.concatenate([given.labels, -np.ones_like(given.labels)], 1)
    scores = Scores(np.concatenate([given.logits] * 2, 1), labels, given.weights)
    points = {evaluate.HALF: [0.5, 0.5], evaluate.CHOSEN: [0.4, 0.5]}
    identities = examples.identities(one)
    monkeypatch.setattr(examples, "identities", lambda _: identities)  # it has one label stored
    best = {"epoch": 1, "step": 1}
    result = evaluate.write(epath.Path(tmp_path), split, scores, points, best, 0)
    with (tmp_path / "evaluation/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "patient", "label a", "score a", "label b", "score b"]
    assert {row["label b"] for row in rows} == {""} and {r["label a"] for r in rows} == {"0", "1"}
    assert result["labels"]["b"]["auc"]["value"] is None
    text = evaluate.table(result)
    assert "not defined" in text and f"a ({int(given.labels.sum())} of {one.size})" in text
