"""The network of a finished run predicts as it did when it was evaluated."""

import csv
import io
import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath
from PIL import Image

from trainer.checkpoint import checkpoint
from trainer.data import data_split, pipeline, sources
from trainer.data.audit import prepared
from trainer.data.decode import radiograph
from trainer.data.prepare import ingest, preparation
from trainer.models.views import stack
from trainer.system.errors import CheckpointsDamaged, UsageError
from trainer.training.run_files import OF_NETWORK
from trainer.training.trained_model import TrainedModel, read_file

SIDE, MAX_SIDE = 64, 128  # of `finished` and of `phantoms`, whose files are larger than both


@pytest.fixture(scope="module")
def trained(finished):
    """The network of the run."""
    return TrainedModel.load(finished)


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the run, to be changed."""
    copied = epath.Path(tmp_path / "run")
    shutil.copytree(finished, copied, ignore=shutil.ignore_patterns("tensorboard", "pictures"))
    return copied


def stored_images(data):
    """The test images as the network of the run saw them."""
    pixels = pipeline.pixels(data_split.open_split(data, "test"), SIDE, "none", fit_mode="pad")
    numbers = tf.range(pixels.size, dtype=tf.int64)
    images, _ = next(iter(pixels.look_up(tf.data.Dataset.from_tensors(numbers))))
    return images.numpy()


def change_config(run, group, **values):
    config = json.loads((run / "config.json").read_text())
    changed = config | values if group is None else config | {group: config[group] | values}
    (run / "config.json").write_text(json.dumps(changed))


def test_log_odds_are_the_mean_of_the_views_and_features_of_the_image_alone(trained, phantoms):
    images = stored_images(phantoms)[:5]
    config = trained.config.copy_and_resolve_references()
    config.model.views = 6
    of_six = replace(trained, config=config)
    seen = tf.split(stack(trained.inputs(images), 6), 6)
    expected = np.mean([trained.model(view, training=False) for view in seen], 0)
    np.testing.assert_allclose(of_six.logits(images), expected, atol=1e-5)
    logits, features = of_six.logits_and_features(images)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(features, trained.logits_and_features(images)[1], atol=1e-5)


def test_probabilities_of_the_test_images_are_those_of_the_evaluation(trained, finished, phantoms):
    probability = trained.probabilities(stored_images(phantoms))

    rows = list(csv.DictReader((finished / "evaluation/test.csv").read_text().splitlines()))
    expected = [float(row["score"]) for row in rows]
    np.testing.assert_allclose(probability[:, 0], expected, atol=1e-5)
    assert probability.shape == (len(rows), 1) and np.std(expected) > 1e-4


def test_weights_are_those_of_the_best_epoch_and_averaged(trained, finished):
    best = json.loads((finished / "evaluation/test.json").read_text())
    saved = checkpoint.read(checkpoint.path(finished / "checkpoints", best["step"], best["epoch"]))

    variables = trained.model.variables

    for variable in variables:
        np.testing.assert_array_equal(variable.numpy(), saved[f"averaged/{variable.path}"])
    assert any((saved[f"averaged/{v.path}"] != saved[f"model/{v.path}"]).any() for v in variables)
    (label,) = best["labels"].values()
    assert (trained.labels, trained.classes) == (["PNEUMONIA"], ["NORMAL", "PNEUMONIA"])
    assert trained.temperatures == [label["calibration"]["temperature"]]


@pytest.mark.parametrize("uniform", [False, True])
def test_a_source_file_becomes_the_prepared_image(trained, phantoms, tmp_path, uniform):
    """A user's file is processed as the run's own data: shrunk, re-coded, fitted."""
    source, data = sources.open_source("phantom:120"), phantoms
    if uniform:
        source, data = sources.open_source("phantom:20"), epath.Path(tmp_path / "uniform")
        preparation.prepare(source, data, max_side=MAX_SIDE, uniform=True)
    trained = replace(trained, decoding=ingest.DecodeOptions(MAX_SIDE, uniform=uniform))
    opened = prepared.PreparedSource(data)
    names = [record.name for record in opened.records() if record.place.startswith("test:")]
    records = {record.name: record for record in source.records()}
    for image, name in list(zip(stored_images(data), names, strict=True))[:4]:
        file = source.read(records[name])
        fitted = trained.fitted_image(trained.stored_image(file))
        np.testing.assert_array_equal(fitted, image)
        original = Image.open(io.BytesIO(file)).convert("L")
        assert max(original.size) > MAX_SIDE
        assert (trained.fitted_image(original) != image).any()


def test_an_unusable_file_is_unreadable_with_a_reason(trained, tmp_path):
    for content, reason in ((b"", "empty file"), (b"hello", "text, not an image")):
        with pytest.raises(radiograph.Unreadable, match=reason):
            trained.stored_image(content)
    with pytest.raises(radiograph.Unreadable, match="No such file"):
        read_file(tmp_path / "nowhere.png")


def test_half_precision_of_the_run_does_not_become_the_default(trained, copy, phantoms):
    images = stored_images(phantoms)
    change_config(copy, None, precision="mixed_bfloat16")

    half = TrainedModel.load(copy)

    assert half.model.get_layer("stem").compute_dtype == "bfloat16"
    assert keras.mixed_precision.dtype_policy().name == "float32"
    expected = trained.probabilities(images)
    np.testing.assert_allclose(half.probabilities(images), expected, atol=0.02)


def test_a_run_older_than_a_field_has_its_default(copy):
    config = json.loads((copy / "config.json").read_text())
    del config["data"]["fit"]
    (copy / "config.json").write_text(json.dumps(config))

    assert TrainedModel.load(copy).config.data.fit == "squash"


@pytest.mark.parametrize("file", OF_NETWORK)
def test_a_missing_or_damaged_file_is_named(copy, file):
    for content in ("{", "[]", '{"labels": 1}'):
        (copy / file).write_text(content)
        with pytest.raises(UsageError, match=f"{file} cannot be read"):
            TrainedModel.load(copy)
    (copy / file).unlink()
    with pytest.raises(UsageError, match=f"lacks {file}: train it to the end"):
        TrainedModel.load(copy)


def test_a_checkpoint_that_is_damaged_or_of_another_network_is_refused(copy):
    change_config(copy, "model", width=8)
    with pytest.raises(UsageError, match="does not fit the network of its own config.json"):
        TrainedModel.load(copy)
    change_config(copy, "model", width=4)
    for file in copy.glob("checkpoints/*/variables.data*"):
        file.write_bytes(b"?" * file.stat().length)
    with pytest.raises(
        CheckpointsDamaged, match="the checkpoint .*, whose weights the run kept, is damaged"
    ):
        TrainedModel.load(copy)
