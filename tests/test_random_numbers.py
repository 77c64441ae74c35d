"""Draws depend on seed, step, salt and row, and on nothing else."""

import numpy as np
import tensorflow as tf

from trainer import random_numbers


def drawn(seed: int = 1, step: int = 2, salt: int = 3, rows: tuple = (0, 1, 2, 3)) -> np.ndarray:
    key = random_numbers.key(seed, tf.constant(step))
    return random_numbers.uniform(key, salt, tf.constant(rows), global_batch=4, shape=(5,)).numpy()


def test_a_compiled_draw_equals_an_eager_one():
    compiled = tf.function(
        lambda step: random_numbers.uniform(
            random_numbers.key(1, step), 3, tf.range(4), global_batch=4, shape=(5,)
        )
    )
    jitted = tf.function(compiled.python_function, jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.constant(2)), drawn())
    np.testing.assert_array_equal(jitted(tf.constant(2)), drawn())


def test_seed_step_and_salt_each_change_every_draw():
    for other in (drawn(seed=2), drawn(step=3), drawn(salt=4)):
        assert not np.any(other == drawn())


def test_a_row_draws_the_same_wherever_it_lies():
    np.testing.assert_array_equal(drawn(rows=(2, 3)), drawn()[2:])


def test_draws_are_uniform_from_0_to_1():
    key = random_numbers.key(0, tf.constant(0))
    values = random_numbers.uniform(key, 0, tf.range(1000), global_batch=1000, shape=(100,)).numpy()
    assert values.min() >= 0 and values.max() < 1
    counts, _ = np.histogram(values, bins=8, range=(0, 1))
    np.testing.assert_allclose(counts / values.size, 1 / 8, atol=0.005)
