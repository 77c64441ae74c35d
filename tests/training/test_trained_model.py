"""Behaviour of a finished run's network: it answers as it did when it was evaluated."""

import csv
import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.data import pipeline, sources
from trainer.data.audit import prepared
from trainer.data.decode import radiograph
from trainer.data.prepare import ingest, preparation
from trainer.system.errors import CheckpointsDamaged, UsageError
from trainer.training.trained_model import TrainedModel

SIDE = 32
PHANTOMS = "phantom:40"
MAX_SIDE = 48  # less than the files have: what is stored is shrunk twice


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared data set of a few phantoms."""
    out = epath.Path(tmp_path_factory.mktemp("data"))
    preparation.prepare(sources.open_source(PHANTOMS), out, max_side=MAX_SIDE)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    """A finished run of two epochs, whose averaged weights were evaluated."""
    from trainer.config.schema import default

    config = default()
    config.data.path, config.data.image_size, config.data.fit = str(data), SIDE, "pad"
    config.model.width, config.model.stages = 4, 2
    config.model.channels, config.model.dropout = 3, 0.3
    config.train.epochs, config.train.batch_size, config.train.ema = 2, 8, 0.9
    config.distribute.strategy = "one_device"
    workdir = epath.Path(tmp_path_factory.mktemp("run"))
    train.train_and_evaluate(config, workdir)
    return workdir


@pytest.fixture
def broken(run, tmp_path):
    """A copy of the run to be damaged."""
    copy = epath.Path(tmp_path / "run")
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("tensorboard", "pictures"))
    return copy


def stored_images(data, split):
    """The images of a split as the network of the run saw them."""
    pixels = pipeline.pixels(pipeline.open_split(data, split), SIDE, "none", "pad")
    numbers = tf.range(pixels.size, dtype=tf.int64)
    images, _ = next(iter(pixels.look_up(tf.data.Dataset.from_tensors(numbers))))
    return images.numpy()


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_it_says_of_the_test_images_what_the_evaluation_says(run, data):
    probability = TrainedModel.of(run).probabilities(stored_images(data, "test"))

    rows = list(csv.DictReader((run / "evaluation/test.csv").read_text().splitlines()))
    expected = [float(row["score"]) for row in rows]
    np.testing.assert_allclose(probability[:, 0], expected, atol=1e-5)
    assert probability.shape == (len(rows), 1) and np.std(expected) > 1e-4


def test_the_weights_are_those_of_the_best_epoch_and_averaged(run):
    best = json.loads((run / "evaluation/test.json").read_text())
    saved = checkpoint.read(checkpoint.path(run / "checkpoints", best["step"], best["epoch"]))

    model = TrainedModel.of(run).model

    for variable in model.variables:
        np.testing.assert_array_equal(variable.numpy(), saved[f"averaged/{variable.path}"])
    assert any(
        (saved[f"averaged/{v.path}"] != saved[f"model/{v.path}"]).any() for v in model.variables
    )


def test_it_knows_labels_classes_and_thresholds(run):
    trained = TrainedModel.of(run)

    (of,) = json.loads((run / "evaluation/test.json").read_text())["labels"].values()
    assert (trained.labels, trained.classes) == (["PNEUMONIA"], ["NORMAL", "PNEUMONIA"])
    assert trained.thresholds == {p["name"]: [p["threshold"]] for p in of["operating_points"]}
    assert "probability 0.5" in trained.thresholds


def test_temperatures_are_read_and_1_where_a_run_has_none(broken):
    file = broken / "evaluation/test.json"
    evaluation = json.loads(file.read_text())
    evaluation["labels"]["PNEUMONIA"]["calibration"] = {"temperature": 1.7}
    file.write_text(json.dumps(evaluation))
    assert TrainedModel.of(broken).temperatures == [1.7]

    del evaluation["labels"]["PNEUMONIA"]["calibration"]
    file.write_text(json.dumps(evaluation))
    assert TrainedModel.of(broken).temperatures == [1.0]


@pytest.mark.parametrize("uniform", [False, True])
def test_a_source_file_is_read_as_the_prepared_image(run, data, tmp_path, uniform):
    """A user's file goes the way of the run's own data: shrunk, re-coded, fitted."""
    source = sources.open_source(PHANTOMS)
    if uniform:
        data = epath.Path(tmp_path / "uniform")
        preparation.prepare(source, data, max_side=MAX_SIDE, uniform=True)
    trained = replace(TrainedModel.of(run), recipe=ingest.DecodeOptions(MAX_SIDE, uniform=uniform))
    opened = prepared.Prepared(data)
    names = [record.name for record in opened.records() if record.place.startswith("test:")]
    expected = stored_images(data, "test")

    for image, name in zip(expected, names, strict=True):
        record = next(of for of in source.records() if of.name == name)
        file = tmp_path / "file"
        file.write_bytes(source.read(record))
        np.testing.assert_array_equal(trained.read_image(file), image)
        at_once = trained.fitted(Image.open(file).convert("L"))
        assert max(Image.open(file).size) > MAX_SIDE and (at_once != image).any()


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"hello", "text, not an image")]
)
def test_what_is_no_radiograph_is_unreadable_with_a_reason(run, tmp_path, content, reason):
    file = tmp_path / "file.png"
    file.write_bytes(content)

    with pytest.raises(radiograph.Unreadable, match=reason):
        TrainedModel.of(run).read_image(file)


def test_a_missing_file_is_unreadable(run, tmp_path):
    with pytest.raises(radiograph.Unreadable, match="No such file"):
        TrainedModel.of(run).read_image(tmp_path / "nowhere.png")


def test_half_precision_is_that_of_the_run_and_stays_its_own(broken, data):
    images = stored_images(data, "test")
    expected = TrainedModel.of(broken).probabilities(images)
    config = json.loads((broken / "config.json").read_text())
    change(broken / "config.json", **(config | {"precision": "mixed_bfloat16"}))

    trained = TrainedModel.of(broken)

    assert trained.model.get_layer("stem").compute_dtype == "bfloat16"
    assert keras.mixed_precision.dtype_policy().name == "float32"
    np.testing.assert_allclose(trained.probabilities(images), expected, atol=0.02)


def test_a_run_older_than_a_field_has_its_default(broken):
    config = json.loads((broken / "config.json").read_text())
    del config["data"]["fit"]
    (broken / "config.json").write_text(json.dumps(config))

    assert TrainedModel.of(broken).config.data.fit == "squash"


def test_where_there_is_no_run_says_so(tmp_path):
    with pytest.raises(UsageError, match="there is no run at .*nowhere"):
        TrainedModel.of(tmp_path / "nowhere")


@pytest.mark.parametrize("record", ["evaluation/test.json", "data_summary.json", "config.json"])
def test_an_unfinished_run_is_refused(broken, record):
    (broken / record).unlink()

    with pytest.raises(UsageError, match=f"lacks {record}: only a run that was trained to the end"):
        TrainedModel.of(broken)


@pytest.mark.parametrize("record", ["evaluation/test.json", "data_summary.json", "config.json"])
@pytest.mark.parametrize("content", ["{", "[]", '{"labels": 1}'])
def test_a_damaged_record_is_named(broken, record, content):
    (broken / record).write_text(content)

    with pytest.raises(UsageError, match=f"{record}.* cannot be read"):
        TrainedModel.of(broken)


def test_a_damaged_checkpoint_is_refused(broken):
    for file in broken.glob("checkpoints/*/variables.data*"):
        file.write_bytes(b"?" * file.stat().length)

    with pytest.raises(CheckpointsDamaged, match="the best checkpoint, .* is damaged"):
        TrainedModel.of(broken)


def test_another_network_than_the_checkpoints_is_refused(broken):
    config = json.loads((broken / "config.json").read_text())
    config["model"]["width"] = 8
    (broken / "config.json").write_text(json.dumps(config))

    with pytest.raises(UsageError, match="does not fit the network of its own config.json"):
        TrainedModel.of(broken)
