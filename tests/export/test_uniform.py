"""The exported graph repeats what `prepare --uniform` does, bit for bit."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data.decode import recode
from trainer.export import uniform


@pytest.mark.parametrize("size", [(120, 97), (64, 64), (30, 41), (16, 100)])
def test_uniform_image_is_the_one_that_preparation_stores(size: tuple[int, int]):
    width, height = size
    grey = np.random.default_rng(width).normal(128, 70, (height, width))
    grey = np.clip(grey, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    expected = recode.stored_image(file.getvalue(), 128, uniform=True)
    found = tf.function(uniform.uniform)(tf.constant(grey), 128)
    np.testing.assert_array_equal(found, np.asarray(expected))
