"""Every moment of a run has one purpose; a step's operations and a device's peak are known."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from trainer.training import peak, step_flops
from trainer.training.speed import Speed


def loop(steps: int, seconds: float, wait: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(losses=np.zeros(steps), seconds=seconds, wait_seconds=wait)


def test_purposes_take_their_time_from_one_another_and_sum_to_the_wall_time():
    began, speed = time.perf_counter(), Speed()
    speed.begin()
    with speed.spent_on("evaluation"):
        time.sleep(0.01)
        with speed.spent_on("pictures"):
            time.sleep(0.03)
    with pytest.raises(KeyError), speed.spent_on("checkpoints"):
        raise KeyError
    time.sleep(0.005)
    seconds = speed.seconds()
    wall = time.perf_counter() - began
    assert sum(seconds.values()) == pytest.approx(wall, abs=2e-3)
    assert seconds["pictures"] >= 0.03 and 0.01 <= seconds["evaluation"] < 0.03
    assert seconds["other"] >= 0.005 and seconds.keys() >= {"start", "checkpoints"}


def test_first_loop_compiles_and_the_wait_of_each_is_input():
    speed = Speed()
    for known, taken in ((False, loop(1, 9.0)), (True, loop(3, 0.3, 0.1)), (True, loop(1, 0.4))):
        assert speed.loop(lambda taken=taken: taken, known=known) is taken
    assert speed.steps["step_milliseconds_median"] == pytest.approx(100)
    assert 100 < speed.steps["step_milliseconds_p95"] <= 400
    assert speed.steps["input_wait"] == pytest.approx(0.1 / 0.7)
    assert speed.seconds()["input"] == pytest.approx(0.1) and speed.mfu is None
    speed.flops, speed.peak = 2e9, 1e11
    assert speed.mfu == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("device", "precision", "peak_flops"),
    [
        ("NVIDIA A100-SXM4-40GB", "mixed_bfloat16", 312e12),
        ("NVIDIA H100 80GB HBM3", "float32", 494e12),
        ("NVIDIA H100 PCIe", "float32", 378e12),
        ("NVIDIA L40S", "mixed_float16", 362e12),
        ("NVIDIA T400 4GB", "float32", None),
        ("CPU", "float32", None),
    ],
)
def test_published_peaks_are_found_by_the_name_of_the_device(device, precision, peak_flops):
    assert peak.published(device, precision) == peak_flops


def lowered(function, *shapes: tuple[int, ...]) -> float:
    compiled = tf.function(function, jit_compile=True, autograph=False)
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return step_flops.of_module(
        compiled.experimental_get_compiler_ir(*specs)(stage="hlo_serialized")
    )


def forward_and_gradient(images: tf.Tensor, filters: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch([images, filters])
        out = tf.nn.conv2d(images, filters, 1, "VALID")
    return tape.gradient(out, [images, filters])


@pytest.mark.parametrize(
    ("function", "shapes", "operations"),
    [
        (lambda x, y: x @ y, [(4, 5), (5, 6)], 2 * 4 * 5 * 6),
        (lambda x: tf.reduce_sum(tf.nn.relu(x)), [(8, 8)], 64 + 63),
        (lambda x, k: tf.nn.conv2d(x, k, 1, "VALID"), [(2, 8, 8, 3), (3, 3, 3, 4)], 2 * 36 * 216),
        # Of 3 positions two edges lack one of three: what is padding is not counted.
        (lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"), [(1, 3, 3, 1), (3, 3, 1, 1)], 2 * 7 * 7),
        (forward_and_gradient, [(2, 8, 8, 3), (3, 3, 3, 4)], 3 * 2 * 2 * 36 * 9 * 3 * 4),
    ],
)
def test_operations_are_those_that_the_arithmetic_has(function, shapes, operations):
    assert lowered(function, *shapes) == pytest.approx(operations, rel=0.02)


def test_step_has_some_three_times_the_operations_of_the_forward_pass(tiny):
    tiny.model.stages, tiny.augment.rotation_range = 1, 0.0
    once = step_flops.count(tiny, 1)
    tiny.train.batch_size *= 2
    assert 1.7 * once < step_flops.count(tiny, 1) < 2.1 * once


def test_cpu_reaches_a_peak_that_is_one():
    assert 1e8 < peak.measured("float32") < 1e14
