"""Several runs, of different squares and precisions, are one model in every format."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from etils import epath

from trainer.data import data_split, dataset
from trainer.export.exported import Exported
from trainer.export.parity import Files
from trainer.export.plain_network import float32_network, plain_network
from trainer.export.writers import WRITERS, Job
from trainer.judge.ensemble import Ensemble
from trainer.serve.network import RADIOGRAPHS, SIZE, Network
from trainer.training.trained_model import _build


@pytest.fixture(scope="module")
def job(finished: epath.Path, phantoms: epath.Path, tmp_path_factory) -> Job:
    """Two networks, the second upside down, squashed and of another temperature."""
    network = Ensemble.load([finished])
    first = network.members[0]
    config = first.config.copy_and_resolve_references()
    config.data.fit = "squash"
    model = tf.keras.models.clone_model(first.model)
    model.set_weights(first.model.get_weights())
    last = model.layers[-1]
    last.set_weights([-0.4 * weights for weights in last.get_weights()])
    second = dataclasses.replace(first, config=config, model=model, temperatures=[1.7])
    both = dataclasses.replace(network, members=(first, second))
    split = data_split.open_split(phantoms, "test")
    parsed = tf.io.parse_example(split.read(np.arange(4)), dataset.stored_features(1))
    files = Files.predict(both, list(parsed["image"].numpy()), parsed["labels"].numpy())
    return Job(both, epath.Path(tmp_path_factory.mktemp("job")), files, phantoms)


@pytest.mark.parametrize(
    "kind", [pytest.param("saved_model", marks=pytest.mark.slow), "keras", "litert_float32", "onnx"]
)
def test_ensemble_is_one_model_that_says_what_its_runs_say_together(job: Job, kind: str):
    row = WRITERS[kind](job, kind)
    assert len(job.ensemble.fits) == 2
    assert row.images == 4 and row.largest < 1e-5 and row.decisions_changed == 0
    if kind == "saved_model":
        _check_served(job)


def _check_served(job: Job) -> None:
    """The server gives each square to the input of its name, in whatever order these are."""
    fits = [fit._asdict() for fit in job.ensemble.fits]
    served = Network(Exported(job.folder, {"fits": fits}, None, None, None, ""))
    images = dict(zip(served.squares, job.files.fitted, strict=True))
    found = served.run(RADIOGRAPHS, images | {SIZE: np.ones((4, 2))})
    np.testing.assert_allclose(found["probability"], job.files.probability, atol=1e-5)


def test_global_policy_of_another_training_does_not_change_the_pixels(job: Job):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")  # as its training left it
    images = [square.astype(np.float32) for square in job.files.fitted]
    found = plain_network(job.ensemble)(images, training=False)
    np.testing.assert_allclose(found, job.files.probability, atol=1e-6)


def test_run_in_half_precision_is_exported_in_float32(job: Job):
    member = job.ensemble.members[0]
    config = member.config.copy_and_resolve_references()
    config.precision = "mixed_bfloat16"
    half = _build(config, 1)
    half.set_weights(member.model.get_weights())
    full = float32_network(dataclasses.replace(member, config=config, model=half))
    images = member.inputs(job.files.fitted[0])
    np.testing.assert_allclose(
        full(images, training=False), member.model(images, training=False), atol=1e-6
    )
    assert np.abs(half(images, training=False) - full(images, training=False)).max() > 1e-5
