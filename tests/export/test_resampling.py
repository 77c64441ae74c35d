"""The exported graph resizes as Pillow does, bit for bit."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainer.data.decode import fit
from trainer.export import fitting, resampling
from trainer.export.resampling import Box

# (width, height) before and after: smaller, larger, one pixel, odd ratios, far smaller.
SIZES = [
    ((301, 217), (64, 64)),
    ((40, 31), (96, 80)),
    ((1, 1), (5, 7)),
    ((7, 501), (7, 3)),
    ((1022, 33), (31, 33)),
    ((97, 97), (97, 97)),
]


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Grey values of which many are black or white, where rounding and clipping show."""
    grey = np.random.default_rng(seed).normal(128, 150, (height, width))
    return np.clip(grey, 0, 255).astype(np.uint8)


def float_box(box: tuple[float, ...]) -> Box:
    return Box(*(tf.constant(edge, tf.float64) for edge in box))


@pytest.mark.parametrize(("before", "after"), SIZES)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (resampling.bilinear, Image.Resampling.BILINEAR),
        (resampling.lanczos, Image.Resampling.LANCZOS),
    ],
)
def test_resized_image_is_that_of_pillow_bit_for_bit(before, after, ours, theirs):
    image = noise(*before)
    expected = np.asarray(Image.fromarray(image).resize(after, theirs))

    @tf.function
    def resize(given: tf.Tensor) -> tf.Tensor:
        return ours(given, after[1], after[0], Box.whole(given))

    found = resize(tf.constant(image))
    np.testing.assert_array_equal(found, expected)


def test_box_with_fractions_of_pixels_is_resized_as_by_pillow():
    image, box = noise(203, 150), (0.0, 0.0, 202.25, 149.75)
    expected = Image.fromarray(image).resize((70, 51), Image.Resampling.LANCZOS, box)
    found = resampling.lanczos(tf.constant(image), 51, 70, float_box(box))
    np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("mode", ["squash", "pad", "crop"])
@pytest.mark.parametrize("size", [(300, 211), (211, 300), (45, 45), (30, 47), (1000, 3)])
def test_fitted_image_is_the_one_that_networks_are_trained_on(mode: str, size: tuple[int, int]):
    image = noise(*size, seed=1)
    expected = fit.fit(Image.fromarray(image), 64, mode)[..., 0]
    np.testing.assert_array_equal(fitting.fit(tf.constant(image), 64, mode), expected)
