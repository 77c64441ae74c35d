"""Local contrast brings every region to the mean and the spread of the whole image."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.augment.local_contrast import LARGEST_GAIN, equalise

AMOUNT = tf.reshape(tf.constant([0.0, 0.5, 1.0]), [3, 1, 1, 1])


@pytest.mark.parametrize(("height", "width"), [(64, 48), (61, 50), (16, 16)])
def test_regions_come_to_one_mean_and_one_spread(height: int, width: int):
    random = np.random.default_rng(0)
    ramp = np.linspace(0.1, 0.9, width)[None, :, None]
    spread = np.linspace(0.05, 0.1, height)[:, None, None]
    image = (ramp + spread * random.standard_normal((height, width, 1))).astype(np.float32)
    same, half, equal = equalise(tf.stack([image] * 3), AMOUNT).numpy()
    np.testing.assert_array_equal(same, image)
    np.testing.assert_allclose(half, (image + equal) / 2, atol=1e-5)
    columns, before = equal.mean(axis=(0, 2)), image.mean(axis=(0, 2))
    assert np.ptp(np.convolve(columns, np.ones(8) / 8, "valid")) < 0.3 * np.ptp(before)
    assert equal.mean() == pytest.approx(image.mean(), abs=0.03)
    assert equal.std() > 2 * (image - ramp).std()


def test_the_gain_of_a_flat_region_is_limited():
    random = np.random.default_rng(0)
    image = np.full((1, 64, 64, 1), 0.5, np.float32)
    image[:, :, 32:] = random.random((1, 64, 32, 1), np.float32)
    image[:, :, :32] += 0.001 * random.standard_normal((1, 64, 32, 1)).astype(np.float32)
    equal = equalise(tf.constant(image), tf.ones([1, 1, 1, 1])).numpy()
    flat = slice(0, 24)  # which no tile of the other half reaches
    gain = equal[:, :, flat].std() / image[:, :, flat].std()
    assert gain == pytest.approx(LARGEST_GAIN, rel=0.1)
