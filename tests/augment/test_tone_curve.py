"""A tone curve rises from black to white, in pieces whose slopes are those asked for."""

import numpy as np
import tensorflow as tf

from trainer.augment.tone_curve import PIECES, bend


def curve_of(slopes):
    ramp = np.linspace(0, 1, 8 * PIECES + 1, dtype=np.float32)
    return ramp, bend(tf.reshape(ramp, [1, 1, -1, 1]), tf.constant([slopes])).numpy().ravel()


def test_equal_slopes_leave_the_image_as_it_is():
    ramp, curve = curve_of([3.0] * PIECES)
    np.testing.assert_allclose(curve, ramp, atol=1e-6)


def test_a_curve_rises_from_black_to_white_in_pieces_of_the_given_slopes():
    slopes = np.random.default_rng(0).uniform(0.1, 2.0, PIECES).astype(np.float32)
    _, curve = curve_of(slopes)
    assert curve[0] == 0
    np.testing.assert_allclose(curve[-1], 1, atol=1e-6)
    rises = np.diff(curve[::8])
    np.testing.assert_allclose(rises, slopes / slopes.sum(), atol=1e-6)
    within = np.diff(curve).reshape(PIECES, 8)
    np.testing.assert_allclose(within, np.repeat(rises[:, None] / 8, 8, axis=1), atol=1e-6)


def test_each_image_has_its_own_curve():
    images = tf.fill([2, 4, 4, 1], 0.5)
    slopes = np.ones((2, PIECES), np.float32)
    slopes[1, : PIECES // 2] = 3
    dark, bright = bend(images, tf.constant(slopes)).numpy()
    np.testing.assert_allclose(dark, 0.5, atol=1e-6)
    np.testing.assert_allclose(bright, 0.75, atol=1e-6)
