"""The strategy follows the config and the machine, and the log says which it is and why."""

import json
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.config.schema import default
from trainer.distribute import replicas, tpu
from trainer.distribute.replicas import Replicas
from trainer.system.errors import UsageError
from trainer.training.run import check_replicas

CLUSTER = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


def connect(config: ConfigDict) -> Replicas:
    return replicas.connect(config.distribute, partial(check_replicas, config))


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> ConfigDict:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    return default()


def test_auto_mirrors_over_all_devices(config: ConfigDict):
    mirrored = connect(config)
    assert mirrored.strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU"))
    assert str(mirrored) == "Mirrored on CPU:0, CPU:1, CPU:2, CPU:3 (auto: 4 CPU devices)"
    assert mirrored.is_chief


def test_one_device_takes_the_first_and_sums_alone(config: ConfigDict):
    config.distribute.strategy, config.train.batch_size = "one_device", 7
    alone = connect(config)
    assert str(alone) == "OneDevice on CPU:0 (distribute.strategy=one_device)"
    np.testing.assert_array_equal(alone.sum([1.0, 2.5]), [1.0, 2.5])


@pytest.mark.parametrize(
    ("batch", "accumulate", "sizes"),
    [
        (30, 1, "batch_size=30 does not divide by the 4 replicas: give 28 or 32"),
        (3, 1, "batch_size=3 does not divide by the 4 replicas: give 4"),
        (32, 3, r"4 replicas times 3 parts \(train.accumulate\): give 24 or 36"),
    ],
)
def test_batch_that_does_not_divide_is_refused_with_the_nearest_sizes(
    config: ConfigDict, batch: int, accumulate: int, sizes: str
):
    config.train.batch_size, config.train.accumulate = batch, accumulate
    with pytest.raises(UsageError, match=sizes):
        connect(config)


def test_batch_is_refused_before_other_workers_are_awaited(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    config.distribute.strategy, config.train.batch_size = "multi_worker", 7
    with pytest.raises(UsageError, match="does not divide by the 2 replicas: give 6 or 8"):
        connect(config)


def test_workers_that_would_train_alone_are_refused(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TF_CONFIG", json.dumps(CLUSTER))
    config.distribute.strategy = "mirrored"
    with pytest.raises(UsageError, match="TF_CONFIG names 2 workers, which would all train alone"):
        connect(config)


def test_tensorflow_for_tpus_is_refused_on_other_devices(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tpu, "installed", lambda: True)
    with pytest.raises(UsageError, match="the build for TPUs.*augment.jit_compile=false"):
        connect(config)
    config.augment.jit_compile = False
    assert connect(config).is_chief


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("strategy", "multi_worker", r"names no workers.*radiograph launch"),
        ("cpu_devices", 3, "has started with 4"),
    ],
)
def test_workers_and_devices_that_do_not_exist_are_refused(
    config: ConfigDict, field: str, value: object, reason: str
):
    config.distribute[field] = value
    with pytest.raises(UsageError, match=reason):
        connect(config)
