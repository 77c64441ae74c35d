"""The learning rate follows its schedule."""

import keras
import numpy as np
import pytest
from ml_collections import ConfigDict

from trainer.config.schema import default
from trainer.training import learning_rate

TOTAL, EPOCH, PEAK = 100, 10, 0.2


def config(name: str, warmup_epochs: float = 0.0) -> ConfigDict:
    config = default()
    config.schedule.name, config.schedule.warmup_epochs = name, warmup_epochs
    config.schedule.decay, config.optimizer.learning_rate = 0.9, PEAK
    return config


def rates(name: str, *steps: int, warmup_epochs: float = 0.0) -> list[float]:
    schedule = learning_rate.build(config(name, warmup_epochs), TOTAL, EPOCH)
    return [float(schedule(np.int64(step))) for step in steps]


@pytest.mark.parametrize("name", ["constant", "cosine", "exponential", "plateau"])
def test_warm_up_is_linear_up_to_the_peak(name: str):
    found = rates(name, 0, 5, 10, 20, warmup_epochs=2.0)
    assert found == pytest.approx([0, PEAK / 4, PEAK / 2, PEAK], abs=1e-7)


def test_after_it_each_goes_its_own_way():
    for name, after_an_epoch, at_the_end in (
        ("constant", 1.0, 1.0),
        ("cosine", (1 + np.cos(np.pi / 8)) / 2, 0.0),
        ("exponential", 0.9, 0.9**8),
        ("plateau", 1.0, 1.0),
    ):
        found = rates(name, 30, TOTAL, warmup_epochs=2.0)
        assert found == pytest.approx([PEAK * after_an_epoch, PEAK * at_the_end], abs=1e-7), name


@pytest.mark.parametrize(("warmup_epochs", "top"), [(0.0, 30), (2.0, 20)])
def test_one_cycle_rises_and_falls_by_half_cosines(warmup_epochs: float, top: int):
    steps = [0, top // 2, top, (top + 99) // 2, 99]
    found = rates("one_cycle", *steps, warmup_epochs=warmup_epochs)
    middle = 0.5 + 0.5 * np.cos(np.pi * (steps[3] - top) / (99 - top))
    expected = [PEAK / 25, PEAK * 13 / 25, PEAK, PEAK * middle, 0]
    assert found == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_on_a_plateau_the_rate_is_a_part_of_the_peak(precision: str):
    schedule = learning_rate.build(config("plateau"), TOTAL, EPOCH)
    optimizer = keras.optimizers.SGD(schedule)
    if precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    learning_rate.set_factor(optimizer, 0.25)
    assert float(optimizer.learning_rate) == pytest.approx(PEAK / 4)
