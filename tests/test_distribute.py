"""The strategy follows the config and the devices, and the log says which it is."""

import pytest
import tensorflow as tf

from trainer import distribute
from trainer.config import default
from trainer.entry import Refusal


def test_auto_mirrors_over_all_devices():
    strategy = distribute.strategy(default().distribute, global_batch=8)
    assert strategy.num_replicas_in_sync == len(tf.config.list_logical_devices("CPU")) == 4
    assert distribute.describe(strategy) == "Mirrored on CPU:0, CPU:1, CPU:2, CPU:3"


def test_one_device_takes_the_first():
    config = default().distribute
    config.strategy = "one_device"
    strategy = distribute.strategy(config, global_batch=7)
    assert distribute.describe(strategy) == "OneDevice on CPU:0"


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_sizes():
    with pytest.raises(
        Refusal, match="batch_size=30 does not divide by the 4 replicas: give 28 or 32"
    ):
        distribute.strategy(default().distribute, global_batch=30)


def test_devices_cannot_be_made_after_the_start():
    config = default().distribute
    config.cpu_devices = 3
    with pytest.raises(Refusal, match="began with 4"):
        distribute.strategy(config, global_batch=6)
