"""Predictions of files are those of the evaluation, and decide as it did."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logit

from trainer.data import data_split, pipeline, sources
from trainer.judge import input_files
from trainer.judge.ensemble import Ensemble
from trainer.judge.gate import Gate
from trainer.judge.input_files import DecodedFile
from trainer.judge.prediction import Predictor
from trainer.metrics.conformal import ConformalSets


@pytest.fixture(scope="module")
def network(finished):
    """The network of the run."""
    return Ensemble.load([finished])


@pytest.fixture(scope="module")
def test_files(finished, tmp_path_factory):
    """The files of the run's test split, from its source."""
    folder = tmp_path_factory.mktemp("files")
    source = sources.open_source("phantom:120")
    records = {record.name: record for record in source.records()}
    for row in rows_of(finished):
        file = folder / row["name"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source.read(records[row["name"]]))
    return folder


def rows_of(run):
    return list(csv.DictReader((run / "evaluation/test.csv").read_text().splitlines()))


def predict(network, paths, **options):
    fits = [(each.image_size, each.mode) for each in network.fits]
    inputs = input_files.InputFiles([*map(str, paths)])
    decoded = input_files.decode_all(inputs, network.decoding, fits, workers=1)
    predictor = Predictor(network, **options)
    rows = [row for rows in predictor.rows(decoded) for row in rows]
    assert all(list(row) == list(predictor.columns) for row in rows)
    return rows


def test_files_of_a_prepared_source_have_the_scores_of_its_evaluation(
    network, finished, test_files
):
    (test_files / "damaged.png").write_bytes(b"\xff\xd8\xff")

    rows = {row["path"]: row for row in predict(network, [test_files])}

    evaluated = rows_of(finished)
    predicted = [rows[f"{test_files}/{row['name']}"] for row in evaluated]
    probability = [row["probability PNEUMONIA"] for row in predicted]
    np.testing.assert_allclose(probability, [float(row["score"]) for row in evaluated], atol=1e-5)
    (label,) = json.loads((finished / "evaluation/test.json").read_text())["labels"].values()
    temperature, chosen = label["calibration"]["temperature"], label["operating_points"][1]
    logits = np.log(probability) - np.log1p(-np.array(probability))
    calibrated = [row["calibrated PNEUMONIA"] for row in predicted]
    np.testing.assert_allclose(calibrated, 1 / (1 + np.exp(-logits / temperature)), atol=1e-6)
    decided = [row["decision"] == "PNEUMONIA" for row in predicted]
    assert decided == [p >= chosen["threshold"] for p in probability]
    damaged = rows[f"{test_files}/damaged.png"]
    assert damaged["refused"] == "damaged" and damaged["probability PNEUMONIA"] is None
    assert len(rows) == len(evaluated) + 1


@pytest.fixture(scope="module")
def images(phantoms):
    """Some test images with their numbers."""
    split = data_split.open_split(phantoms, "test")
    return list(enumerate(pipeline.read_images(split, range(8), 64, fit_mode="pad")))


def test_a_threshold_of_the_users_decides(network):
    images = tuple(np.zeros((1, *(2 * [each.image_size]), 1), np.uint8)[0] for each in network.fits)
    for threshold, decision in ((1e-6, "PNEUMONIA"), (1 - 1e-6, "NORMAL")):
        ((row,),) = Predictor(network, threshold).rows([DecodedFile("x", images)])
        assert row["decision"] == decision


@pytest.mark.parametrize("refuse", [False, True])
def test_what_the_gate_flags_has_its_check_and_no_prediction_if_refused(network, finished, refuse):
    (each,) = network.fits
    noise = np.random.default_rng(0).integers(0, 256, (each.image_size,) * 2 + (1,), np.uint8)
    written = SimpleNamespace(write=lambda predicted: pictures.extend(predicted) or {})
    pictures, checks = [], Gate.load(finished)
    predictor = Predictor(network, gate=checks, refuse=refuse, result_files=[written])

    ((row,),) = predictor.rows([DecodedFile("x", (noise,), (64, 64))])

    assert list(row) == list(predictor.columns)
    assert row["check"] == "unlike" and row["value"] > row["limit"]
    assert (row["refused"] == "no such radiograph") == (not pictures) == refuse
    assert (row["probability PNEUMONIA"] is None) == (row["decision"] is None) == refuse
    assert (
        not refuse
        or row["reason"] == f"unlike: {row['value']:.3g}, the limit is {row['limit']:.3g}"
    )


def test_what_has_no_result_files_has_the_reason_and_no_prediction(network, images):
    failing = SimpleNamespace(write=lambda predicted: {1: "no DICOM results: it is odd"})
    files = [
        DecodedFile("y", reason="damaged"),
        *(DecodedFile(str(n), (x,)) for n, x in images[:3]),
    ]

    (rows,) = Predictor(network, result_files=[failing]).rows(files)

    assert [row["reason"] for row in rows] == ["damaged", None, "no DICOM results: it is odd", None]
    assert rows[2]["refused"] == "no results" and rows[2]["probability PNEUMONIA"] is None
    assert rows[1]["decision"] and rows[3]["decision"]


def test_a_set_holds_the_classes_that_the_validation_images_cannot_rule_out(network, images):
    validation = network.validation_scores()
    sets = ConformalSets.calibrate(validation, 0.6)

    (rows,) = Predictor(network, sets=sets).rows([DecodedFile(str(n), (x,)) for n, x in images])

    logits = logit(np.array([[row["probability PNEUMONIA"]] for row in rows]))
    held = sets.names(logits.astype(np.float32), ["PNEUMONIA"], ["NORMAL", "PNEUMONIA"])
    assert [row["set"] for row in rows] == ["|".join(names) for names in held]
