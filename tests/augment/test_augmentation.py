"""Augmentation draws by (seed, step, row), and computes the same however it is run."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment import augmentation, strength

SIZE = 24
ROWS = tf.range(8)
KEY = random_numbers.key(seed=3, step=7)

OFF = {
    "rotation_range": 0.0,
    "width_shift_range": 0.0,
    "height_shift_range": 0.0,
    "shear_range": 0.0,
    "zoom_range": 0.0,
    "crop_range": 0.0,
    "horizontal_flip": False,
    "vertical_flip": False,
    "fill_mode": "nearest",
    "cval": 0.0,
    "brightness_range": 0.0,
    "contrast_range": 0.0,
    "gamma_range": 0.0,
    "blur_range": 0.0,
    "noise_range": 0.0,
    "curve_range": 0.0,
    "local_contrast": 0.0,
    "compression_range": 0.0,
    "collimate": 0.0,
    "erase": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "extra": "",
    "strength": 1.0,
}
# All that changes little when its input does. Compression rounds: where float32 differs in the
# last bit, a grey level may fall to either side, and with it a step of a block's quantisation.
CONTINUOUS = OFF | {
    "rotation_range": 20.0,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 5.0,
    "zoom_range": 0.2,
    "crop_range": 0.4,
    "horizontal_flip": True,
    "vertical_flip": True,
    "brightness_range": 0.1,
    "contrast_range": 0.2,
    "gamma_range": 0.3,
    "blur_range": 0.6,
    "noise_range": 0.05,
    "curve_range": 0.5,
    "local_contrast": 0.5,
    "collimate": 0.2,
    "erase": 0.3,
}
COMPRESSION = OFF | {"compression_range": 70.0}
EVERYTHING = CONTINUOUS | {"compression_range": 70.0}


class Case(NamedTuple):
    """Fields, the images they are tried on, and how close two ways to compute them must be."""

    fields: dict
    images: tf.Tensor
    tolerance: float


def built(jit_compile=False, matrix_product=False, **fields):
    return augmentation.build(ConfigDict(OFF | fields), jit_compile, matrix_product)


def noise_images(batch=8):
    return tf.constant(np.random.default_rng(0).random((batch, SIZE, SIZE, 1), np.float32))


def augmented(images, key=KEY, **fields):
    return built(**fields)(images, key, ROWS[: len(images)], global_batch=8).numpy()


@pytest.fixture(scope="module", params=["continuous", "compression"])
def case(request):
    if request.param == "continuous":
        return Case(CONTINUOUS, noise_images(), 1e-5)
    return Case(COMPRESSION, tf.round(255 * noise_images()) / 255, 0.0)


@pytest.fixture(scope="module")
def plain(case):
    """The result of plain ops."""
    return augmented(case.images, **case.fields)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_everything_off_returns_the_very_images(jit_compile):
    images = noise_images()
    assert built(jit_compile)(images, KEY, ROWS, global_batch=8) is images


def test_each_field_changes_images_by_itself():
    images = noise_images()
    for field in (name for name in OFF if OFF[name] != EVERYTHING[name]):
        changed = augmented(images, **{field: EVERYTHING[field]})
        assert np.abs(changed - images).max() > 0.01, field
        assert changed.min() >= 0 and changed.max() <= 1


def test_compiled_alone_or_with_its_step_it_agrees_with_plain_ops(case, plain):
    alone = case.fields is COMPRESSION
    augmentation = built(alone, **case.fields)

    @tf.function(jit_compile=not alone)
    def step(images):
        return augmentation(images, KEY, ROWS, global_batch=8)

    np.testing.assert_allclose(step(case.images), plain, atol=case.tolerance)


def test_few_pixels_differ_when_everything_is_compiled():
    """Measured on phantoms of 180 by 180: 147 of 1,036,800 pixels, 1,817 by matrix product."""
    eager = augmented(noise_images(), **EVERYTHING)
    compiled = built(True, True, **EVERYTHING)(noise_images(), KEY, ROWS, global_batch=8)
    assert np.mean(np.abs(compiled - eager) > 1e-5) < 0.05


def test_resampling_by_matrix_product_changes_no_image(case, plain):
    product = built(matrix_product=True, **case.fields)(case.images, KEY, ROWS, global_batch=8)
    np.testing.assert_allclose(product, plain, atol=case.tolerance)


def test_a_row_is_augmented_equally_in_one_replica_and_in_two(two_replicas, case, plain):
    strategy, augmentation = two_replicas, built(**case.fields)
    batch = {"image": case.images, "row": ROWS}
    shards = tf.data.Dataset.from_tensors(batch).unbatch().batch(8).repeat(3)
    batches = iter(strategy.experimental_distribute_dataset(shards))

    def replica_step(batch, step):
        return augmentation(
            batch["image"], random_numbers.key(3, step), batch["row"], global_batch=8
        )

    @tf.function
    def loop(batches):
        images = tf.zeros_like(case.images)
        for step in tf.range(5, 8):
            per_replica = strategy.run(replica_step, args=(next(batches), step))
            local = strategy.experimental_local_results(per_replica)
            images = tf.ensure_shape(tf.concat(local, axis=0), images.shape)
        return images

    np.testing.assert_allclose(loop(batches), plain, atol=case.tolerance)


def test_same_step_repeats_its_draws_and_the_next_makes_others(case, plain):
    again = augmented(case.images, **case.fields)
    following = augmented(case.images, key=random_numbers.key(3, 8), **case.fields)
    np.testing.assert_array_equal(again, plain)
    assert np.abs(following - plain).mean(axis=(1, 2, 3)).min() > 0.01


def test_each_row_is_augmented_differently():
    same = tf.repeat(noise_images(1), 8, axis=0)
    result = augmented(same, rotation_range=20.0)
    distances = np.abs(result[:, np.newaxis] - result).mean(axis=(2, 3, 4))
    assert distances[~np.eye(8, dtype=bool)].min() > 0.001


def test_images_stay_float32_under_mixed_precision(case, plain):
    keras.config.set_dtype_policy("mixed_float16")
    result = augmented(case.images, **case.fields)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, plain)


def test_the_strength_scales_every_range():
    half = {name: value / 2 for name, value in CONTINUOUS.items() if name in strength.SCALED}
    doubled = augmented(noise_images(), **CONTINUOUS | half | {"strength": 2.0})
    np.testing.assert_array_equal(doubled, augmented(noise_images(), **CONTINUOUS))
    fields = {name for name in OFF if type(OFF[name]) is float}
    assert fields - {*strength.SCALED} == {"cval", "strength"}


def test_a_value_out_of_range_is_refused():
    for field, value in (
        ("rotation_range", -1.0),
        ("noise_range", -0.1),
        ("compression_range", 100.0),
        ("zoom_range", 1.0),
        ("crop_range", 1.0),
        ("curve_range", -0.5),
        ("local_contrast", 1.1),
        ("collimate", -0.1),
        ("erase", -0.1),
        ("cutmix", -1.0),
        ("fill_mode", "wrap"),
    ):
        with pytest.raises(ValueError, match=field):
            built(**{field: value})
