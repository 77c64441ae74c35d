"""An evaluation is written with a row for each image, and read back as it was."""

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from trainer.metrics import calibration, evaluation_files
from trainer.metrics.operating_points import CHOSEN, HALF, OperatingPoints
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores
from trainer.system.errors import UsageError

IMAGES = [f"folder/image {k}.jpeg" for k in range(40)]
PATIENTS = [f"patient{k // 2}" for k in range(40)]
LABELS = (np.arange(40) % 3 == 0).astype(np.float32)
LOGITS = (2 * LABELS - 1 + np.random.default_rng(0).normal(size=40)).astype(np.float32)


def predictions(labels=("PNEUMONIA",), classes=("NORMAL", "PNEUMONIA")) -> Predictions:
    """Predictions for 40 images; labels after the first are never known."""
    logits = np.stack([LOGITS] * len(labels), 1)
    known = np.full_like(logits, -1)
    known[:, 0] = LABELS
    scores = Scores(logits, known, np.ones(40, np.float32))
    return Predictions("test", labels, classes, IMAGES, PATIENTS, scores)


def write(workdir: Path, given: Predictions) -> dict:
    count = len(given.labels)
    points = OperatingPoints({HALF: [0.0] * count, CHOSEN: [-0.4] * count}, [1.7] * count)
    evaluation = given.evaluate(points, epoch=3, step=30, seed=0)
    evaluation_files.write(epath.Path(workdir), given, evaluation)
    return evaluation


def rows(workdir: Path) -> list[dict[str, str]]:
    with (workdir / "evaluation/test.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_image_has_a_row_and_the_summary_follows_from_the_rows(tmp_path: Path):
    evaluation = write(tmp_path, predictions())

    written = rows(tmp_path)
    assert [row["name"] for row in written] == IMAGES
    assert [row["patient"] for row in written] == PATIENTS
    label = evaluation["labels"]["PNEUMONIA"]
    predicted = np.array([float(row["score"]) >= 0.5 for row in written])
    positive = np.array([row["label"] == "1" for row in written])
    assert label["operating_points"][0]["accuracy"]["value"] == np.mean(predicted == positive)
    assert (evaluation["images"], evaluation["patients"], evaluation["epoch"]) == (40, 20, 3)
    assert label["calibration"]["temperature"] == 1.7
    assert label["calibration"]["before"] == calibration.measure(LOGITS, LABELS)
    assert label["calibration"]["after"] == calibration.measure(LOGITS / 1.7, LABELS)
    assert json.loads((tmp_path / "evaluation/test.json").read_text()) == evaluation


def test_the_files_are_read_back_as_they_were_written(tmp_path: Path):
    evaluation = write(tmp_path, predictions())

    (result,) = evaluation_files.read_label_results(epath.Path(tmp_path), "test")

    assert (result.name, list(result.classes)) == ("PNEUMONIA", ["NORMAL", "PNEUMONIA"])
    np.testing.assert_array_equal(result.labels, LABELS)
    np.testing.assert_array_equal(result.logits, LOGITS)
    assert result.patients == PATIENTS
    assert (result.temperature, result.split, result.auc) == (1.7, "test", evaluation["auc"])
    assert result.operating_points == evaluation["labels"]["PNEUMONIA"]["operating_points"]
    assert evaluation_files.read_image_names(epath.Path(tmp_path), "test") == IMAGES


def test_cells_are_no_formulas_and_no_lines_and_are_read_back(tmp_path: Path):
    given = predictions()
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "'=x", "a,b", 'a"b', "a b", *IMAGES[8:]]
    given = dataclasses.replace(given, images=[*names[:-1], "a\rb\x1b[2J"], patients=names)
    write(tmp_path, given)
    cells = [row[column] for row in rows(tmp_path) for column in ("name", "patient")]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    assert "\r" not in "".join(cells) and "\x1b" not in "".join(cells)
    read = evaluation_files.read_image_names(epath.Path(tmp_path), "test")
    assert read == [*names[:-1], "a\\rb\\x1b[2J"]
    (result,) = evaluation_files.read_label_results(epath.Path(tmp_path), "test")
    assert result.patients == names


def test_unknown_labels_are_blank_and_left_out_when_read(tmp_path: Path):
    evaluation = write(tmp_path, predictions(labels=("a", "b"), classes=()))

    written = rows(tmp_path)
    columns = [f"{column} {name}" for name in "ab" for column in ("label", "score", "logit")]
    assert list(written[0]) == ["name", "patient", *columns]
    assert {row["label a"] for row in written} == {"0", "1"}
    assert {row["label b"] for row in written} == {""}
    unknown = evaluation["labels"]["b"]
    assert unknown["auc"]["value"] is None and unknown["calibration"]["before"]["ece"] is None
    results = evaluation_files.read_label_results(epath.Path(tmp_path), "test")
    assert [len(result.labels) for result in results] == [40, 0]
    assert {tuple(result.classes) for result in results} == {("absent", "present")}


def test_an_older_file_without_logits_is_read_by_its_probabilities(tmp_path: Path):
    write(tmp_path, predictions())
    written = rows(tmp_path)
    written[0]["score"], written[1]["score"] = "1", "0"
    with (tmp_path / "evaluation/test.csv").open("w") as file:
        older = csv.DictWriter(file, ["name", "patient", "label", "score"], extrasaction="ignore")
        older.writeheader()
        older.writerows(written)
    (result,) = evaluation_files.read_label_results(epath.Path(tmp_path), "test")
    np.testing.assert_allclose(result.logits, [40, -40, *LOGITS[2:]], rtol=1e-6)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("test.json", "{"),
        ("test.json", "[]"),
        ("test.json", '{"labels": {"a": {}}}'),
        ("test.csv", "name,score\na,0.5\n"),
        ("test.csv", "name,patient,label,score\n" + 40 * "a,b,x,0.5\n"),
        ("test.csv", "name,patient,label,score\n" + 39 * "a,b,1,0.5\n"),
        ("test.csv", "name,patient,label,score\n" + 40 * "a,b\n"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, file: str, content: str):
    write(tmp_path, predictions())
    (tmp_path / "evaluation" / file).write_text(content)

    with pytest.raises(UsageError, match=f"{file} cannot be read"):
        evaluation_files.read_label_results(epath.Path(tmp_path), "test")
