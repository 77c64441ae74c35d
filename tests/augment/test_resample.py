import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.preprocessing.image import apply_affine_transform

from trainer.augment.resample import (
    FILL_MODES,
    AffineParameters,
    affine_matrices,
    gaussian_blur,
    resample,
)
from trainer.config.fields import BLUR_REACH

GREY_LEVEL = 1 / 255
IDENTITY = {
    "theta": 0.0,
    "tx": 0.0,
    "ty": 0.0,
    "shear": 0.0,
    "zx": 1.0,
    "zy": 1.0,
    "flip_x": 1.0,
    "flip_y": 1.0,
}
ALL_TOGETHER = {
    "theta": -33.0,
    "tx": 5.3,
    "ty": -3.6,
    "shear": 12.0,
    "zx": 1.3,
    "zy": 0.8,
    "flip_x": -1.0,
    "flip_y": -1.0,
}
CASES = [
    *({name: value} for name, value in ALL_TOGETHER.items()),
    {"theta": 170.0, "tx": 90.0, "ty": -70.0},
    ALL_TOGETHER,
]


def noise_image(height=40, width=40, channels=1):
    return np.random.default_rng(0).random((height, width, channels), np.float32)


def matrices_of(*cases):
    columns = {name: tf.constant([(IDENTITY | case)[name] for case in cases]) for name in IDENTITY}
    return affine_matrices(AffineParameters(**columns))


def transformed(image, fill_mode="nearest", cval=0.0, **parameters):
    return resample(image[np.newaxis], matrices_of(parameters), fill_mode=fill_mode, cval=cval)[
        0
    ].numpy()


def by_gather_and_by_product(fill_mode="nearest", height=30, width=40, channels=1):
    """The noise image under every case, resampled in both ways."""
    images = np.stack([noise_image(height, width, channels)] * len(CASES))
    return (
        resample(
            images,
            matrices_of(*CASES),
            fill_mode=fill_mode,
            cval=0.5,
            matrix_product=matrix_product,
        )
        for matrix_product in (False, True)
    )


def rounded_to_bfloat16(x):
    return tf.cast(tf.cast(x, tf.bfloat16), tf.float32)


def transformed_by_keras(image, fill_mode, cval, flip_x=1.0, flip_y=1.0, **parameters):
    axes = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
    image = apply_affine_transform(image, **parameters, **axes, fill_mode=fill_mode, cval=cval)
    return image[:: int(flip_y), :: int(flip_x)]


@pytest.mark.filterwarnings("ignore:.*scipy.ndimage:DeprecationWarning")
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize("parameters", CASES, ids=lambda case: "-".join(case))
def test_image_is_transformed_as_by_keras(parameters, fill_mode):
    image = noise_image(channels=2)
    ours = transformed(image, fill_mode, cval=0.5, **parameters)
    theirs = transformed_by_keras(image, fill_mode, cval=0.5, **parameters)
    assert np.abs(ours - theirs).mean() < 0.05 * GREY_LEVEL
    assert np.abs(ours - image).mean() > 10 * GREY_LEVEL


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("height, width", [(30, 40), (40, 30), (33, 33)])
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_matrix_product_gives_the_image_of_the_gather(fill_mode, height, width, channels):
    gathered, product = by_gather_and_by_product(fill_mode, height, width, channels)
    np.testing.assert_allclose(product, gathered, atol=1e-5)


def test_matrix_product_keeps_its_precision_where_factors_are_rounded_as_on_a_tpu(monkeypatch):
    in_float32 = tf.matmul

    def in_bfloat16(a, b):
        return in_float32(rounded_to_bfloat16(a), rounded_to_bfloat16(b))

    monkeypatch.setattr(tf, "matmul", in_bfloat16)
    gathered, product = by_gather_and_by_product()
    np.testing.assert_allclose(product, gathered, atol=0.01 * GREY_LEVEL)


def test_matrix_product_leaves_no_gather_in_the_compiled_program():
    def program(matrix_product):
        @tf.function(jit_compile=True)
        def resampled(images, matrices):
            return resample(images, matrices, matrix_product=matrix_product)

        arguments = tf.zeros((2, 8, 8, 1)), matrices_of(*CASES[:2])
        return resampled.experimental_get_compiler_ir(*arguments)(stage="optimized_hlo")

    assert "gather(" in program(matrix_product=False)
    assert "gather(" not in program(matrix_product=True)


@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_flips_and_half_turns_keep_the_border_of_a_non_square_image(fill_mode):
    image = noise_image(6, 9)
    flipped = transformed(image, fill_mode, cval=7.0, flip_x=-1.0, flip_y=-1.0)
    turned = transformed(image, fill_mode, cval=7.0, theta=180.0)
    np.testing.assert_allclose(flipped, image[::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(turned, image[::-1, ::-1], atol=1e-5)


def test_tx_shifts_columns_and_ty_rows():
    image = noise_image(6, 9)
    np.testing.assert_allclose(transformed(image, tx=2.0)[:, :-2], image[:, 2:], atol=1e-6)
    np.testing.assert_allclose(transformed(image, ty=2.0)[:-2], image[2:], atol=1e-6)


@pytest.mark.parametrize(
    "fill_mode, expected",
    [
        ("nearest", [1, 1, 1, 1, 1, 2, 3, 4]),
        ("reflect", [4, 4, 3, 2, 1, 1, 2, 3]),
        ("constant", [9, 9, 9, 9, 9, 1, 2, 3]),
    ],
)
def test_fill_mode_says_what_lies_outside(fill_mode, expected):
    shift = {"nearest": -4.0, "reflect": -5.0, "constant": -5.0}[fill_mode]
    image = np.tile(np.array([1, 2, 3, 4, 4, 3, 2, 1], np.float32)[:, np.newaxis], (3, 1, 1))
    row = transformed(image, fill_mode, cval=9.0, tx=shift)[1, :, 0]
    np.testing.assert_allclose(row, expected, atol=1e-5)


def test_unknown_fill_mode_and_a_line_of_pixels_are_refused():
    with pytest.raises(ValueError, match="fill_mode"):
        transformed(noise_image(), "wrap")
    with pytest.raises(ValueError, match="2 by 2"):
        transformed(noise_image(1, 9))


def test_blur_spreads_a_point_by_each_images_own_sigma():
    point = np.zeros((2, 21, 21, 1), np.float32)
    point[:, 10, 10] = 1
    sigma = np.array([0.0, 1.5], np.float32).reshape(2, 1, 1, 1)
    sharp, blurred = gaussian_blur(point, sigma, max_sigma=2.0).numpy()[..., 0]
    np.testing.assert_array_equal(sharp, point[0, ..., 0])
    squared_offset = (np.arange(21) - 10.0) ** 2
    assert (blurred.sum(0) @ squared_offset) ** 0.5 == pytest.approx(1.5, rel=0.01)
    assert (blurred.sum(1) @ squared_offset) ** 0.5 == pytest.approx(1.5, rel=0.01)


def test_blur_reaches_as_far_as_the_config_says():
    sigma, images = tf.ones((1, 1, 1, 1)), tf.ones((1, 16, 16, 1))
    gaussian_blur(images, sigma, 16 / BLUR_REACH)
    with pytest.raises(tf.errors.InvalidArgumentError, match="paddings"):
        gaussian_blur(images, sigma, 16.1 / BLUR_REACH)


def test_blur_leaves_a_uniform_image_as_it_is():
    uniform = np.full((1, 8, 8, 1), 0.3, np.float32)
    blurred = gaussian_blur(uniform, tf.fill((1, 1, 1, 1), 2.0), max_sigma=2.0)
    np.testing.assert_allclose(blurred, uniform, atol=1e-6)
