"""Pretraining keeps the promises: the same on two replicas, and after a resume."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.training import siamese_step
from trainer.training.state import create_state


@pytest.fixture
def pretraining(tiny: ConfigDict) -> ConfigDict:
    tiny.pretrain.method, tiny.pretrain.projection, tiny.model.stages = "simsiam", 8, 1
    tiny.optimizer.name, tiny.optimizer.learning_rate, tiny.schedule.warmup_epochs = "sgd", 0.01, 0
    return tiny


def test_the_loss_is_that_of_the_paper_and_gives_projections_no_gradient():
    draw = np.random.default_rng(0)
    z, p = (tf.constant(draw.normal(size=(4, 3)), tf.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch([z, p])
        losses = siamese_step.losses_of(z, p)

    def cosine(a: int, b: int) -> float:
        one, other = p[a].numpy(), z[b].numpy()
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    expected = [1 - (cosine(i, i + 2) + cosine(i + 2, i)) / 2 for i in range(2)]
    np.testing.assert_allclose(losses, expected, atol=1e-6)
    of_projections, of_predictions = tape.gradient(losses, [z, p])
    assert of_projections is None and np.abs(of_predictions.numpy()).min() > 0


def test_the_two_views_of_an_image_differ_and_depend_on_step_row_and_view_alone(
    pretraining: ConfigDict,
):
    augment = augmentation.build(pretraining.augment, jit_compile=False)
    image = np.random.default_rng(0).random((1, 32, 32, 1), np.float32)

    def views(rows: list[int], step: int = 0) -> np.ndarray:
        key = random_numbers.key(0, tf.constant(step))
        images = tf.constant(np.repeat(image, len(rows), 0))
        seen, _ = siamese_step.two_views(augment, images, key, tf.constant(rows), global_batch=4)
        return seen.numpy()

    whole = views([0, 1, 2, 3])
    assert len(np.unique(whole.reshape(8, -1), axis=0)) == 8
    np.testing.assert_array_equal(views([2, 3]), whole[[2, 3, 6, 7]])
    assert not np.array_equal(views([0], step=1)[0], whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simsiam", "byol"])
def test_pretraining_is_alike_on_two_replicas_and_after_a_resume(
    method: str,
    pretraining: ConfigDict,
    steps_of: Callable[..., list[dict[str, np.ndarray]]],
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
):
    pretraining.pretrain.method = method
    seen = []
    for strategy in (one_device, two_replicas):
        with strategy.scope():
            state = create_state(pretraining, 10, 10)
        seen.append(steps_of(strategy, state, range(2)))
    (_, one), (after_one, two) = seen
    for path, value in one.items():
        np.testing.assert_allclose(value, two[path], atol=1e-5, err_msg=path)
    assert not np.array_equal(two["model/stem/kernel"], after_one["model/stem/kernel"])
    keras.utils.set_random_seed(1)  # as a new process draws other numbers
    for path, variable in state.variables().items():
        variable.assign(after_one[path])
    (resumed,) = steps_of(two_replicas, state, range(1, 2))
    for path, value in resumed.items():
        np.testing.assert_array_equal(value, two[path], err_msg=path)
