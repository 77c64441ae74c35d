"""The strategy follows the config and the machine, and the log says which it is and why."""

import json

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.config.schema import default
from trainer.distribute import tpu
from trainer.distribute.replicas import connect
from trainer.system.errors import UsageError

CLUSTER = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> ConfigDict:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    return default()


def test_auto_mirrors_over_all_devices(config: ConfigDict):
    replicas = connect(config)
    assert replicas.strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU"))
    assert str(replicas) == "Mirrored on CPU:0, CPU:1, CPU:2, CPU:3 (auto: 4 CPU devices)"
    assert replicas.is_chief


def test_one_device_takes_the_first(config: ConfigDict):
    config.distribute.strategy, config.train.batch_size = "one_device", 7
    replicas = connect(config)
    assert str(replicas) == "OneDevice on CPU:0 (distribute.strategy=one_device)"


def test_one_worker_sums_with_nobody(config: ConfigDict):
    config.distribute.strategy = "one_device"
    np.testing.assert_array_equal(connect(config).sum([1.0, 2.5]), [1.0, 2.5])


@pytest.mark.parametrize(
    ("batch", "accumulate", "said"),
    [
        (30, 1, "batch_size=30 does not divide by the 4 replicas: give 28 or 32"),
        (3, 1, "batch_size=3 does not divide by the 4 replicas: give 4"),
        (32, 3, r"4 replicas times 3 parts \(train.accumulate\): give 24 or 36"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_sizes(
    config: ConfigDict, batch: int, accumulate: int, said: str
):
    config.train.batch_size, config.train.accumulate = batch, accumulate
    with pytest.raises(UsageError, match=said):
        connect(config)


def test_a_batch_is_refused_before_the_wait_for_other_workers(
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


def test_the_build_for_tpus_is_refused_elsewhere(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tpu, "installed", lambda: True)
    with pytest.raises(UsageError, match="the build for TPUs.*augment.jit_compile=false"):
        connect(config)
    config.augment.jit_compile = False
    assert connect(config).is_chief


def test_several_workers_need_a_cluster(config: ConfigDict):
    config.distribute.strategy = "multi_worker"
    with pytest.raises(UsageError, match=r"names no workers.*trainer launch"):
        connect(config)


def test_devices_cannot_be_made_after_the_start(config: ConfigDict):
    config.distribute.cpu_devices = 3
    with pytest.raises(UsageError, match="began with 4"):
        connect(config)
