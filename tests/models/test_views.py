"""The views of an image are itself, its mirror image and frames, and the answer is their mean."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainer.models import views


@pytest.fixture
def images() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).random((3, 20, 20, 2), np.float32))


def test_one_view_is_the_image_itself(images: tf.Tensor):
    assert views.stack(images, 1) is images


def test_of_two_views_the_second_is_the_mirror_image(images: tf.Tensor):
    first, second = tf.split(views.stack(images, 2), 2)
    np.testing.assert_array_equal(first, images)
    np.testing.assert_array_equal(second, images[:, :, ::-1])


def test_of_six_views_two_are_closer_and_two_are_wider(images: tf.Tensor):
    x = np.linspace(-1, 1, 20, dtype=np.float32)
    plane = tf.constant(np.broadcast_to((x[:, None] + 10 * x)[None, :, :, None], (1, 20, 20, 1)))
    plain, mirrored, closer, closer_mirrored, wider, wider_mirrored = views.stack(plane, 6)
    np.testing.assert_array_equal(plain, plane[0])
    np.testing.assert_allclose(closer, 0.9 * plain, atol=1e-5)
    np.testing.assert_allclose(wider[1:-1, 1:-1], 1.1 * plain[1:-1, 1:-1], atol=1e-5)
    np.testing.assert_allclose(wider[0, 0], plain[0, 0], atol=1e-5)  # beyond the edge it goes on
    for view, mirror in ((plain, mirrored), (closer, closer_mirrored), (wider, wider_mirrored)):
        np.testing.assert_allclose(mirror, view[:, ::-1], atol=1e-5)


@pytest.mark.parametrize("number", [1, 2, 6])
def test_the_answer_is_the_mean_of_what_the_network_says_of_each(number: int, images: tf.Tensor):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([layers.Input((20, 20, 2)), layers.Flatten(), layers.Dense(4)])
    each = tf.split(views.stack(images, number), number)
    expected = np.mean([network(view) for view in each], 0)
    np.testing.assert_allclose(views.answer(network, images, number), expected, atol=1e-5)
