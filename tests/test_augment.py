import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import augment, draws

SIZE = 24
ROWS = tf.range(8)
KEY = draws.key(seed=3, step=7)
TOLERANCE = 1e-5

OFF = {
    "rotation_range": 0.0,
    "width_shift_range": 0.0,
    "height_shift_range": 0.0,
    "shear_range": 0.0,
    "zoom_range": 0.0,
    "horizontal_flip": False,
    "vertical_flip": False,
    "fill_mode": "nearest",
    "cval": 0.0,
    "brightness_range": 0.0,
    "contrast_range": 0.0,
    "gamma_range": 0.0,
    "blur_range": 0.0,
    "noise_range": 0.0,
}
EVERYTHING = OFF | {
    "rotation_range": 20.0,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "shear_range": 5.0,
    "zoom_range": 0.2,
    "horizontal_flip": True,
    "vertical_flip": True,
    "brightness_range": 0.1,
    "contrast_range": 0.2,
    "gamma_range": 0.3,
    "blur_range": 0.6,
    "noise_range": 0.05,
}


def built(jit_compile=False, matrix_product=False, **fields):
    return augment.build(ConfigDict(OFF | fields), jit_compile, matrix_product)


def noise_images(batch=8):
    return tf.constant(np.random.default_rng(0).random((batch, SIZE, SIZE, 1), np.float32))


def augmented(images, key=KEY, **fields):
    return built(**fields)(images, key, ROWS[: len(images)], 8).numpy()


def drawn(rows, **fields):
    """The affine parameters of each row, with images of 50 by 200 pixels."""
    return augment.RandomAffine(**fields).draw(KEY, rows, len(rows), height=50, width=200)


@pytest.fixture(scope="module")
def plain():
    """What plain ops make of the noise images with everything on."""
    return augmented(noise_images(), **EVERYTHING)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_everything_off_returns_the_very_images(jit_compile):
    images = noise_images()
    assert built(jit_compile)(images, KEY, ROWS, 8) is images


@pytest.mark.parametrize("field", sorted(name for name in OFF if OFF[name] != EVERYTHING[name]))
def test_each_field_changes_images_by_itself(field):
    images = noise_images()
    changed = augmented(images, **{field: EVERYTHING[field]})
    assert np.abs(changed - images).max() > 0.01
    assert changed.min() >= 0 and changed.max() <= 1


def test_eager_call_compiled_by_itself_agrees_with_plain_ops(plain):
    compiled = built(jit_compile=True, **EVERYTHING)(noise_images(), KEY, ROWS, 8)
    np.testing.assert_allclose(compiled, plain, atol=TOLERANCE)


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_a_step_compiled_or_not_agrees_with_plain_ops(inner, outer, plain):
    augmentation = built(inner, **EVERYTHING)

    @tf.function(jit_compile=outer)
    def step(images):
        return augmentation(images, KEY, ROWS, 8)

    np.testing.assert_allclose(step(noise_images()), plain, atol=TOLERANCE)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_resampling_by_matrix_product_changes_no_image(jit_compile, plain):
    product = built(jit_compile, matrix_product=True, **EVERYTHING)(noise_images(), KEY, ROWS, 8)
    np.testing.assert_allclose(product, plain, atol=TOLERANCE)


@pytest.mark.usefixtures("two_replicas")
@pytest.mark.parametrize(
    "devices, jit_compile",
    [(["CPU:0"], False), (["CPU:0", "CPU:1"], True)],
)
def test_row_is_augmented_alike_in_one_replica_and_in_two(devices, jit_compile, plain):
    strategy = tf.distribute.MirroredStrategy(devices)
    augmentation = built(jit_compile, **EVERYTHING)
    batch = {"image": noise_images(), "row": ROWS}
    shards = tf.data.Dataset.from_tensors(batch).unbatch().batch(8).repeat(3)
    batches = iter(strategy.experimental_distribute_dataset(shards))

    def replica_step(batch, step):
        return augmentation(batch["image"], draws.key(3, step), batch["row"], 8)

    @tf.function
    def loop(batches):
        images = tf.zeros_like(noise_images())
        for step in tf.range(5, 8):
            per_replica = strategy.run(replica_step, args=(next(batches), step))
            local = strategy.experimental_local_results(per_replica)
            images = tf.ensure_shape(tf.concat(local, axis=0), images.shape)
        return images

    np.testing.assert_allclose(loop(batches), plain, atol=TOLERANCE)


def test_same_step_repeats_its_draws_and_the_next_makes_others(plain):
    again = augmented(noise_images(), **EVERYTHING)
    following = augmented(noise_images(), key=draws.key(3, 8), **EVERYTHING)
    np.testing.assert_array_equal(again, plain)
    assert np.abs(following - plain).mean(axis=(1, 2, 3)).min() > 0.01


def test_rows_are_augmented_each_in_its_own_way():
    same = tf.repeat(noise_images(1), 8, axis=0)
    result = augmented(same, rotation_range=20.0)
    distances = np.abs(result[:, np.newaxis] - result).mean(axis=(2, 3, 4))
    assert distances[~np.eye(8, dtype=bool)].min() > 0.001


def test_affine_parameters_fill_their_ranges():
    parameters = drawn(
        tf.range(2000),
        rotation_range=30.0,
        width_shift_range=0.1,
        height_shift_range=0.2,
        shear_range=0.2,
        zoom_range=(0.8, 1.1),
    )
    bounds = {"theta": 30, "tx": 20, "ty": 10, "shear": 0.2}
    for name, bound in bounds.items():
        values = getattr(parameters, name).numpy()
        assert -bound <= values.min() < -0.98 * bound and 0.98 * bound < values.max() <= bound
    for zoom in (parameters.zx.numpy(), parameters.zy.numpy()):
        assert 0.8 <= zoom.min() < 0.805 and 1.095 < zoom.max() <= 1.1
    assert abs(np.corrcoef(parameters.zx, parameters.zy)[0, 1]) < 0.1


def test_float_zoom_is_a_range_about_1():
    assert augment.RandomAffine(zoom_range=0.25).zoom_range == (0.75, 1.25)


def test_about_half_of_the_images_are_flipped_on_each_axis():
    parameters = drawn(tf.range(2000), horizontal_flip=True, vertical_flip=True)
    for flip in (parameters.flip_x.numpy(), parameters.flip_y.numpy()):
        assert set(flip) == {-1.0, 1.0} and abs(flip.mean()) < 0.1
    assert set(drawn(tf.range(2000), horizontal_flip=True).flip_y.numpy()) == {1.0}


def test_brightness_adds_one_amount_to_the_whole_image():
    images = 0.4 + 0.2 * noise_images()
    amount = augmented(images, brightness_range=0.2) - images
    assert np.ptp(amount, axis=(1, 2, 3)).max() < 1e-6
    assert 0.05 < np.abs(amount).max() <= 0.2


def test_contrast_scales_about_the_images_own_mean():
    images = 0.4 + 0.2 * noise_images()
    result = augmented(images, contrast_range=0.5)
    factor = result.std(axis=(1, 2, 3)) / images.numpy().std(axis=(1, 2, 3))
    np.testing.assert_allclose(result.mean((1, 2, 3)), images.numpy().mean((1, 2, 3)), atol=1e-6)
    assert 0.5 <= factor.min() < 0.9 and 1.1 < factor.max() <= 1.5


def test_gamma_raises_to_one_exponent_within_its_range():
    images = 0.1 + 0.8 * noise_images()
    exponent = np.log(augmented(images, gamma_range=1.0)) / np.log(images)
    assert np.ptp(exponent, axis=(1, 2, 3)).max() < 1e-4
    assert 0.5 <= exponent.min() < 0.9 and 1.1 < exponent.max() <= 2.0


def test_images_stay_float32_under_mixed_precision(plain):
    keras.config.set_dtype_policy("mixed_float16")
    result = augmented(noise_images(), **EVERYTHING)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, plain)


def test_layer_survives_serialisation(plain):
    config = keras.saving.serialize_keras_object(built(matrix_product=True, **EVERYTHING))
    revived = keras.saving.deserialize_keras_object(config)
    assert revived.matrix_product
    np.testing.assert_allclose(revived(noise_images(), KEY, ROWS, 8), plain, atol=TOLERANCE)


@pytest.mark.parametrize(
    "field, value",
    [("rotation_range", -1.0), ("noise_range", -0.1), ("zoom_range", 1.0), ("fill_mode", "wrap")],
)
def test_value_out_of_range_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        built(**{field: value})
