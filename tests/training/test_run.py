"""A run is refused where config and data do not go together, and goes on with its own batches."""

import dataclasses
import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import data_split, pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT, IndependentLabels
from trainer.system.errors import UsageError
from trainer.system.watchdog import Watchdog
from trainer.training.run import Run, check_replicas, outputs_of
from trainer.training.state import create_state


@pytest.mark.parametrize(
    ("exclusive", "name", "outputs"),
    [
        (False, "auto", INDEPENDENT),
        (True, "auto", EXCLUSIVE),
        (True, "softmax", EXCLUSIVE),
        (True, "sigmoid", INDEPENDENT),
        (True, "categorical", EXCLUSIVE),
        (True, "focal", EXCLUSIVE),
        (True, "binary", INDEPENDENT),
        (True, "asymmetric", INDEPENDENT),
    ],
)
def test_outputs_follow_the_data_unless_the_config_says_otherwise(
    tiny: ConfigDict, exclusive: bool, name: str, outputs: IndependentLabels
):
    tiny.loss.name = name
    assert outputs_of(tiny, SimpleNamespace(exclusive=exclusive)) is outputs


@pytest.mark.parametrize(
    ("strategy", "replicas", "deterministic", "obstacle"),
    [
        ("auto", 2, False, "mirrored"),
        ("mirrored", 1, False, "mirrored"),
        ("auto", 1, True, "train.deterministic"),
    ],
)
def test_a_step_that_cannot_be_compiled_as_a_whole_is_refused_where_it_was_asked_for(
    tiny: ConfigDict, strategy: str, replicas: int, deterministic: bool, obstacle: str
):
    tiny.train.deterministic = deterministic
    check_replicas(tiny, strategy, replicas)
    tiny.train.jit = "on"
    with pytest.raises(UsageError, match=f"jit=on does not .* {obstacle}.*jit=auto"):
        check_replicas(tiny, strategy, replicas)
    check_replicas(tiny, "tpu", replicas)


def test_the_batches_of_a_resume_are_those_from_its_step_on(
    tiny: ConfigDict, one_device: tf.distribute.Strategy
):
    split = data_split.open_split(tiny.data.path, "train")
    pixels = pipeline.pixels(split, tiny.data.image_size, "host")
    run = SimpleNamespace(
        config=tiny,
        pixels=SimpleNamespace(pixels={"train": pixels}.get),
        replicas=SimpleNamespace(strategy=one_device),
    )
    *_, third = itertools.islice(Run.train_batches(run, 0), 3)
    resumed = next(Run.train_batches(run, 2))
    np.testing.assert_array_equal(resumed["image"], third["image"])


@pytest.mark.parametrize("views", [1, 6])
def test_a_run_evaluates_by_one_view_while_it_trains_and_by_all_of_them_at_its_end(
    tiny: ConfigDict, one_device: tf.distribute.Strategy, views: int
):
    tiny.model.views, tiny.model.stages = views, 1
    split = data_split.open_split(tiny.data.path, "validation")
    pixels = pipeline.pixels(split, tiny.data.image_size, "host")
    given: Any = dict.fromkeys(field.name for field in dataclasses.fields(Run))
    run = Run(
        **given
        | {
            "config": tiny,
            "data": SimpleNamespace(splits={"validation": split}, exclusive=False),
            "pixels": SimpleNamespace(pixels={"validation": pixels}.get),
            "replicas": Replicas(one_device, "a test"),
            "signals": StopSignals(),
            "watchdog": Watchdog(),
            "state": create_state(tiny, 10, 10),
        }
    )
    meanwhile = run.scores_while_training("validation").logits
    at_the_end = run.scores("validation").logits
    assert np.array_equal(meanwhile, at_the_end) == (views == 1)
    tiny.model.views = 1
    one_view = dataclasses.replace(run).scores("validation").logits
    np.testing.assert_array_equal(meanwhile, one_view)
