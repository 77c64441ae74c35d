"""Each change of tone is what it says, within its range."""

import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.augment import jpeg
from trainer.augment.tone import RandomTone

KEY = random_numbers.key(seed=3, step=7)


def noise_images(batch: int = 8, size: int = 24) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).random((batch, size, size, 1), np.float32))


def toned(images: tf.Tensor, **fields: float) -> np.ndarray:
    return RandomTone(**fields)(
        images, KEY, tf.range(len(images)), global_batch=len(images)
    ).numpy()


def test_brightness_adds_one_amount_to_the_whole_image():
    images = 0.4 + 0.2 * noise_images()
    amount = toned(images, brightness_range=0.2) - images
    assert np.ptp(amount, axis=(1, 2, 3)).max() < 1e-6
    assert 0.05 < np.abs(amount).max() <= 0.2


def test_contrast_scales_about_the_images_own_mean():
    images = 0.4 + 0.2 * noise_images()
    result = toned(images, contrast_range=0.5)
    factor = result.std(axis=(1, 2, 3)) / images.numpy().std(axis=(1, 2, 3))
    np.testing.assert_allclose(result.mean((1, 2, 3)), images.numpy().mean((1, 2, 3)), atol=1e-6)
    assert 0.5 <= factor.min() < 0.9 and 1.1 < factor.max() <= 1.5


def test_gamma_raises_to_one_exponent_within_its_range():
    images = 0.1 + 0.8 * noise_images()
    exponent = np.log(toned(images, gamma_range=1.0)) / np.log(images)
    assert np.ptp(exponent, axis=(1, 2, 3)).max() < 1e-4
    assert 0.5 <= exponent.min() < 0.9 and 1.1 < exponent.max() <= 2.0


def drawn_compression(monkeypatch: pytest.MonkeyPatch, rows: int, **fields: float) -> dict:
    """What a tone of these fields hands to the compression of `rows` images."""
    given = {}

    def record(images: tf.Tensor, quality: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
        given.update(images=images.numpy(), quality=quality.numpy(), corner=corner.numpy())
        return images

    monkeypatch.setattr(jpeg, "compress", record)
    toned(noise_images(rows, size=8), **fields)
    return given


def test_quality_fills_its_range_and_blocks_begin_anywhere(monkeypatch: pytest.MonkeyPatch):
    given = drawn_compression(monkeypatch, rows=2000, compression_range=70.0)
    assert set(given["quality"]) == set(range(30, 101))
    assert len(set(map(tuple, given["corner"]))) == 64 and set(given["corner"].ravel()) == set(
        range(8)
    )
    assert abs(np.corrcoef(given["quality"], given["corner"][:, 0])[0, 1]) < 0.1


def test_quality_is_a_whole_number_within_a_broken_range(monkeypatch: pytest.MonkeyPatch):
    given = drawn_compression(monkeypatch, rows=200, compression_range=1.4)
    assert set(given["quality"]) == {99, 100}


def test_compression_comes_last_on_what_the_others_made(monkeypatch: pytest.MonkeyPatch):
    others = {"brightness_range": 0.2, "gamma_range": 0.3, "blur_range": 1.0, "noise_range": 0.1}
    given = drawn_compression(monkeypatch, rows=8, compression_range=50.0, **others)
    np.testing.assert_array_equal(given["images"], toned(noise_images(8, size=8), **others))


@pytest.mark.parametrize("size", [16, 33, 180])
def test_blur_and_compression_take_images_of_any_size(size: int):
    images = noise_images(4, size)
    blurred = toned(images, blur_range=1.5)
    both = toned(images, blur_range=1.5, compression_range=50.0)
    assert both.shape == images.shape
    assert 0 < np.abs(both - blurred).mean() < np.abs(images - blurred).mean()
    np.testing.assert_allclose(both * 255, np.round(both * 255), atol=1e-4)
