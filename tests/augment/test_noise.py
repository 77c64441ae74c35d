import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.augment import noise


def test_pixel_noise_is_normal_and_independent_between_pixels_and_rows():
    row_draw = random_numbers.uniform(
        random_numbers.key(seed=3, step=7), 0, tf.range(8), global_batch=8
    )
    pixels = noise.pixel_noise(row_draw, (64, 64, 1)).numpy()[..., 0]
    assert abs(pixels.mean()) < 0.02 and pixels.std() == pytest.approx(1, abs=0.02)
    assert np.mean(np.abs(pixels) > 2) == pytest.approx(0.0455, abs=0.01)
    assert abs(np.mean(pixels[:, 1:] * pixels[:, :-1])) < 0.03
    assert abs(np.mean(pixels[:, :, 1:] * pixels[:, :, :-1])) < 0.03
    assert np.abs(np.corrcoef(pixels.reshape(8, -1)) - np.eye(8)).max() < 0.08
