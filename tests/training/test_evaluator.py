"""Evaluation writes a row an image, and fixes its threshold on validation."""

import csv
import dataclasses
import json

import numpy as np
import pytest
from etils import epath

from trainer.data import examples, pipeline
from trainer.metrics import calibration, classification
from trainer.metrics.scores import Scores
from trainer.system.errors import UsageError
from trainer.training import evaluator


def scores_of(split: pipeline.Split, seed: int = 0) -> Scores:
    pixels = pipeline.pixels(split, 16, "none")
    labels = next(iter(pipeline.evaluation_batches(pixels, split.size)))["label"].numpy()
    noise = np.random.default_rng(seed).normal(size=labels.shape).astype(np.float32)
    return Scores(2 * labels - 1 + noise, labels, np.ones(split.size, np.float32))


def chosen(points: dict[str, list[float]], temperature: float = 2.0) -> evaluator.Chosen:
    (thresholds, *_) = points.values()
    return evaluator.Chosen(points, [temperature] * len(thresholds))


def test_every_image_has_its_row_and_the_summary_follows_from_them(
    phantoms: epath.Path, tmp_path: epath.Path
):
    split = pipeline.open_split(phantoms, "test")
    scores = scores_of(split)
    best = {"epoch": 3, "step": 30}
    half = chosen({"half": [0.5]})
    result = evaluator.write(epath.Path(tmp_path), split, scores, half, best, seed=0)
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
    assert str(split.size) in evaluator.table(result)


def test_validation_chooses_a_threshold_and_a_temperature(phantoms: epath.Path):
    validation = scores_of(pipeline.open_split(phantoms, "validation"), seed=1)
    points, temperatures = evaluator.chosen_on(validation)
    probability = classification.probabilities(validation.logits)
    assert points[evaluator.HALF] == [0.5]
    expected = classification.youden_threshold(validation.labels[:, 0], probability[:, 0])
    assert points[evaluator.CHOSEN] == [expected]
    columns = validation.logits[:, 0], validation.labels[:, 0]
    assert temperatures == [calibration.temperature(*columns)]


def test_of_several_labels_each_has_its_columns_and_what_is_not_known_is_blank(
    phantoms: epath.Path, tmp_path: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    one = pipeline.open_split(phantoms, "test")
    split = dataclasses.replace(one, labels=["a", "b"], classes=[])
    given = scores_of(one)
    labels = np.concatenate([given.labels, -np.ones_like(given.labels)], 1)
    scores = Scores(np.concatenate([given.logits] * 2, 1), labels, given.weights)
    points = {evaluator.HALF: [0.5, 0.5], evaluator.CHOSEN: [0.4, 0.5]}
    identities = examples.identities(one)
    monkeypatch.setattr(examples, "identities", lambda _: identities)  # it has one label stored
    best = {"epoch": 1, "step": 1}
    result = evaluator.write(epath.Path(tmp_path), split, scores, chosen(points), best, 0)
    with (tmp_path / "evaluation/test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["name", "patient", "label a", "score a", "label b", "score b"]
    assert {row["label b"] for row in rows} == {""} and {r["label a"] for r in rows} == {"0", "1"}
    never = result["labels"]["b"]
    assert never["auc"]["value"] is None and never["calibration"]["before"]["ece"] is None
    text = evaluator.table(result)
    assert "not defined" in text and f"a ({int(given.labels.sum())} of {one.size})" in text
    read = evaluator.read_judged(epath.Path(tmp_path), "test")
    assert [len(of.labels) for of in read] == [one.size, 0]
    assert {tuple(of.classes) for of in read} == {("absent", "present")}


def test_the_calibration_is_told_before_and_after_the_temperature(
    phantoms: epath.Path, tmp_path: epath.Path
):
    split = pipeline.open_split(phantoms, "test")
    scores = scores_of(split)
    half = chosen({"half": [0.5]}, temperature=1.7)
    best = {"epoch": 1, "step": 1}
    (of,) = evaluator.write(epath.Path(tmp_path), split, scores, half, best, 0)["labels"].values()
    logits, labels = scores.logits[:, 0], scores.labels[:, 0]
    assert of["calibration"]["temperature"] == 1.7
    assert of["calibration"]["before"] == calibration.measure(logits, labels)
    assert of["calibration"]["after"] == calibration.measure(logits / 1.7, labels)


def test_what_was_written_is_read_again(phantoms: epath.Path, tmp_path: epath.Path):
    split, workdir = pipeline.open_split(phantoms, "test"), epath.Path(tmp_path)
    scores = scores_of(split)
    half = chosen({"half": [0.5]}, temperature=1.7)
    result = evaluator.write(workdir, split, scores, half, {"epoch": 1, "step": 1}, seed=0)
    (of,) = evaluator.read_judged(workdir, "test")
    assert of.name == split.labels[0] and list(of.classes) == split.classes
    np.testing.assert_array_equal(of.labels, scores.labels[:, 0])
    np.testing.assert_allclose(
        of.probability, classification.probabilities(scores.logits[:, 0]), 1e-8
    )
    assert of.patients == examples.identities(split)[1]
    assert (of.temperature, of.split, of.auc) == (1.7, "test", result["auc"])
    assert of.points == result["labels"][of.name]["operating_points"]


@pytest.fixture
def written(phantoms: epath.Path, tmp_path: epath.Path) -> epath.Path:
    """The work directory of a run of which the test split is evaluated."""
    split, best = pipeline.open_split(phantoms, "test"), {"epoch": 1, "step": 1}
    half = chosen({"half": [0.5]})
    evaluator.write(epath.Path(tmp_path), split, scores_of(split), half, best, seed=0)
    return epath.Path(tmp_path)


def test_an_older_evaluation_is_read_as_one_that_was_not_calibrated(written: epath.Path):
    file = written / "evaluation/test.json"
    result = json.loads(file.read_text())
    for of in result["labels"].values():
        del of["calibration"], of["average_precision"]
    file.write_text(json.dumps(result))
    (of,) = evaluator.read_judged(written, "test")
    assert of.temperature == 1 and of.average_precision is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("test.json", "{"),
        ("test.json", "[]"),
        ("test.json", '{"labels": {"a": {}}}'),
        ("test.csv", "name,score\na,0.5\n"),
        ("test.csv", "name,patient,label,score\na,b,x,0.5\n"),
        ("test.csv", "name,patient,label,score\na,b\n"),
    ],
)
def test_a_damaged_file_is_named(written: epath.Path, file: str, content: str):
    (written / "evaluation" / file).write_text(content)
    with pytest.raises(UsageError, match=f"{file} cannot be read"):
        evaluator.read_judged(written, "test")


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def result_of(names: list[str], positive: int) -> dict:
    """An evaluation of several labels, as `write` returns it."""
    measured = {"ece": 0.1234, "brier": 0.1, "loss": 0.3}
    of = {
        "positive": positive,
        "negative": 25_000 - positive,
        "auc": interval(0.9),
        "average_precision": interval(0.4),
        "calibration": {
            "temperature": 1.83,
            "before": measured,
            "after": {**measured, "ece": 0.0456},
        },
        "operating_points": [
            {
                "name": name,
                "threshold": threshold,
                "accuracy": interval(0.81),
                "sensitivity": interval(0.82),
                "specificity": interval(0.83),
            }
            for name, threshold in ((evaluator.HALF, 0.5), (evaluator.CHOSEN, 0.0312))
        ],
    }
    return {
        "split": "test",
        "images": 25_000,
        "patients": 2_800,
        "epoch": 12,
        "auc": interval(0.9),
        "average_precision": interval(0.4),
        "labels": dict.fromkeys(names, of),
    }


@pytest.mark.parametrize("names", [["PNEUMONIA"], ["Edema", "Enlarged Cardiomediastinum of old"]])
def test_the_table_tells_areas_and_calibration_and_fits_the_terminal(names: list[str]):
    text = evaluator.table(result_of(names, 1_234))
    for said in ("AUC", "average precision", "0.400 (0.390 to 0.410)", "0.123 -> 0.046"):
        assert said in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= 110
    columns = {line.index("0.390 to") for line in lines if "0.390 to" in line}
    assert len(columns) == 1  # aligned
    assert all("(1234 of 25000)" in line for line in lines if line.startswith("E"))


def test_the_table_of_many_labels_has_a_row_a_label_for_areas_and_rates():
    names = [f"finding {k}" for k in range(14)]
    text = evaluator.table(result_of(names, 77))
    for name in names:
        assert text.count(f"{name} (77 of 25000)") == 2
    assert "0.820 (0.810 to 0.830)" in text and "0.031" in text
