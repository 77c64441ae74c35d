"""Random augmentation of image batches inside the compiled training step, on the accelerator.

Every draw depends only on (seed, step, row of the global batch); see `trainer.draws`.
"""

import math
from collections.abc import Sequence

import keras
import ml_collections
import tensorflow as tf

from trainer import draws
from trainer.noise import pixel_noise
from trainer.resample import (
    AffineParameters,
    affine_matrices,
    check_fill_mode,
    gaussian_blur,
    resample,
)

# Salts of the draws made under one step's key.
AFFINE_SALT = 1
TONE_SALT = 2
NOISE_SALT = 3


class _RandomLayer(keras.layers.Layer):
    """A stateless layer in float32, called as `layer(images, key, rows, global_batch)`."""

    FIELDS: tuple[str, ...] = ()

    def __init__(self, **kwargs):
        # float32 under any policy: half precision places pixels wrongly and bands grey levels.
        super().__init__(**(kwargs | {"dtype": "float32"}))
        self._allow_non_tensor_positional_args = True  # global_batch is a Python int
        self.built = True

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return super().get_config() | {name: getattr(self, name) for name in self.FIELDS}


@keras.saving.register_keras_serializable(package="trainer")
class RandomAffine(_RandomLayer):
    """Rotate, shift, shear, zoom and flip each image at random, resampling it once.

    The parameters are those of Keras' `ImageDataGenerator`. For the same drawn values the image
    is that of its `apply_affine_transform` (order=1), flipped afterwards, with these differences:
      - the image turns about its own centre, where Keras takes a non-square image's height for
        its width and the reverse;
      - `width_shift_range` shifts along the columns and `height_shift_range` along the rows,
        where `ImageDataGenerator` swaps the two;
      - shifts are always fractions of the size, also from 1 up;
      - a pixel within 0.001 pixel of the image counts as inside it when `fill_mode` is "constant".

    Args:
      rotation_range: largest angle either way, degrees.
      width_shift_range: largest shift either way along the columns, fraction of the width.
      height_shift_range: largest shift either way along the rows, fraction of the height.
      shear_range: largest shear angle either way, degrees.
      zoom_range: z for [1 - z, 1 + z], or the pair (low, high); drawn for each axis by itself.
      horizontal_flip: mirror left and right with probability 0.5.
      vertical_flip: mirror top and bottom with probability 0.5.
      fill_mode: "nearest", "reflect" or "constant"; see `resample()`.
      cval: value outside the image for "constant", on the images' own scale of 0 to 1.

    Raises:
      ValueError: a range is negative, a zoom reaches 0, or the fill mode is unknown.
    """

    FIELDS = (
        "rotation_range",
        "width_shift_range",
        "height_shift_range",
        "shear_range",
        "zoom_range",
        "horizontal_flip",
        "vertical_flip",
        "fill_mode",
        "cval",
    )

    def __init__(
        self,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_fill_mode(fill_mode)
        self.rotation_range = _non_negative("rotation_range", rotation_range)
        self.width_shift_range = _non_negative("width_shift_range", width_shift_range)
        self.height_shift_range = _non_negative("height_shift_range", height_shift_range)
        self.shear_range = _non_negative("shear_range", shear_range)
        self.zoom_range = _zoom_bounds(zoom_range)
        self.horizontal_flip = bool(horizontal_flip)
        self.vertical_flip = bool(vertical_flip)
        self.fill_mode = fill_mode
        self.cval = float(cval)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        shifts = self.width_shift_range or self.height_shift_range
        flips = self.horizontal_flip or self.vertical_flip
        zooms = self.zoom_range != (1.0, 1.0)
        return bool(self.rotation_range or shifts or self.shear_range or zooms or flips)

    def draw(
        self, key: tf.Tensor, rows: tf.Tensor, global_batch: int, height: int, width: int
    ) -> AffineParameters:
        """The parameters of each of `rows`, for images of `height` by `width` pixels."""
        unit = draws.uniform(key, AFFINE_SALT, rows, global_batch, (8,))
        rotation, x_shift, y_shift, shear, x_zoom, y_zoom, x_flip, y_flip = tf.unstack(unit, axis=1)
        low, high = self.zoom_range
        return AffineParameters(
            theta=self.rotation_range * _signed(rotation),
            tx=self.width_shift_range * width * _signed(x_shift),
            ty=self.height_shift_range * height * _signed(y_shift),
            shear=self.shear_range * _signed(shear),
            zx=low + (high - low) * x_zoom,
            zy=low + (high - low) * y_zoom,
            flip_x=_flip_sign(x_flip, self.horizontal_flip),
            flip_y=_flip_sign(y_flip, self.vertical_flip),
        )

    def call(
        self,
        images: tf.Tensor,
        key: tf.Tensor,
        rows: tf.Tensor,
        global_batch: int,
        matrix_product: bool = False,
    ) -> tf.Tensor:
        """Transform [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        if not self.is_on:
            return images
        height, width = images.shape[1:3]
        matrices = affine_matrices(self.draw(key, rows, global_batch, height, width))
        return resample(images, matrices, self.fill_mode, self.cval, matrix_product)


@keras.saving.register_keras_serializable(package="trainer")
class RandomTone(_RandomLayer):
    """Change brightness, contrast and gamma, blur, and add noise, in that order.

    Values are clipped to 0..1 before the gamma and at the end. A range of 0 is off.

    Args:
      brightness_range: r for an addend in [-r, r], fraction of full scale.
      contrast_range: r for a factor in [1 - r, 1 + r] about the image's own mean.
      gamma_range: r for an exponent drawn log-uniformly from [1 / (1 + r), 1 + r].
      blur_range: r for a Gaussian blur of standard deviation in [0, r] pixels; see
        `gaussian_blur()` for the smallest image.
      noise_range: r for normal noise of standard deviation in [0, r], fraction of full scale.

    Raises:
      ValueError: a range is negative.
    """

    FIELDS = (
        "brightness_range",
        "contrast_range",
        "gamma_range",
        "blur_range",
        "noise_range",
    )

    def __init__(
        self,
        brightness_range: float = 0.0,
        contrast_range: float = 0.0,
        gamma_range: float = 0.0,
        blur_range: float = 0.0,
        noise_range: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.brightness_range = _non_negative("brightness_range", brightness_range)
        self.contrast_range = _non_negative("contrast_range", contrast_range)
        self.gamma_range = _non_negative("gamma_range", gamma_range)
        self.blur_range = _non_negative("blur_range", blur_range)
        self.noise_range = _non_negative("noise_range", noise_range)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        grey_levels = self.brightness_range or self.contrast_range or self.gamma_range
        return bool(grey_levels or self.blur_range or self.noise_range)

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, global_batch: int
    ) -> tf.Tensor:
        """Change [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        if not self.is_on:
            return images
        unit = draws.uniform(key, TONE_SALT, rows, global_batch, (5, 1, 1, 1))
        brightness, contrast, gamma, blur, noise = tf.unstack(unit, axis=1)
        if self.brightness_range:
            images += self.brightness_range * _signed(brightness)
        if self.contrast_range:
            # Rows first: XLA on a CPU vectorises it, and not the mean over all axes at once.
            row_mean = tf.reduce_mean(images, axis=1, keepdims=True)
            mean = tf.reduce_mean(row_mean, axis=[2, 3], keepdims=True)
            images = mean + (images - mean) * (1 + self.contrast_range * _signed(contrast))
        if self.gamma_range:
            exponent = tf.exp(math.log1p(self.gamma_range) * _signed(gamma))
            images = tf.pow(tf.clip_by_value(images, 0.0, 1.0), exponent)
        if self.blur_range:
            images = gaussian_blur(images, self.blur_range * blur, self.blur_range)
        if self.noise_range:
            row_draw = draws.uniform(key, NOISE_SALT, rows, global_batch)
            images += self.noise_range * noise * pixel_noise(row_draw, images.shape[1:])
        return tf.clip_by_value(images, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="trainer")
class Augmentation(_RandomLayer):
    """Geometry, then tone. With both off it returns the images it was given.

    Compiled and plain runs place a pixel alike to within float32 rounding, some 1e-7 of the
    image's size; with "constant" a pixel right on the border may thus fall either way.

    Called as `augmentation(images, key, rows, global_batch)`:
      images: [b, H, W, C] float32 in 0..1; H, W and C static.
      key: [2] int32 from `draws.key()`.
      rows: [b] int32, each example's row in the global batch.
      global_batch: number of rows in the global batch, a Python int.

    Args:
      affine: the geometry.
      tone: the grey levels.
      jit_compile: compile with XLA, whether or not the surrounding step is.
      matrix_product: how the geometry is resampled, for a TPU; see `resample()`.
    """

    def __init__(
        self,
        affine: RandomAffine,
        tone: RandomTone,
        jit_compile: bool = True,
        matrix_product: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.affine = affine
        self.tone = tone
        self.jit_compile = jit_compile
        self.matrix_product = matrix_product
        # Compiled apart, since XLA on a CPU would fuse the gather into every use of its result.
        self._apply_affine = tf.function(affine, jit_compile=True) if jit_compile else affine
        self._apply_tone = tf.function(tone, jit_compile=True) if jit_compile else tone

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, global_batch: int
    ) -> tf.Tensor:
        """Augment the images; see the class."""
        if self.affine.is_on:
            images = self._apply_affine(images, key, rows, global_batch, self.matrix_product)
        if self.tone.is_on:
            images = self._apply_tone(images, key, rows, global_batch)
        return images

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return super().get_config() | {
            "affine": keras.saving.serialize_keras_object(self.affine),
            "tone": keras.saving.serialize_keras_object(self.tone),
            "jit_compile": self.jit_compile,
            "matrix_product": self.matrix_product,
        }

    @classmethod
    def from_config(cls, config: dict) -> "Augmentation":
        """The layer that `get_config()` describes."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("affine", "tone")
        }
        return cls(**(config | parts))


def build(
    config: ml_collections.ConfigDict, jit_compile: bool = True, matrix_product: bool = False
) -> Augmentation:
    """The augmentation of a configuration with the fields of `RandomAffine` and `RandomTone`.

    Raises:
      KeyError: a field is missing.
      ValueError: a value is out of range.
    """
    return Augmentation(
        RandomAffine(**{name: config[name] for name in RandomAffine.FIELDS}),
        RandomTone(**{name: config[name] for name in RandomTone.FIELDS}),
        jit_compile,
        matrix_product,
    )


def _signed(unit: tf.Tensor) -> tf.Tensor:
    """Spread draws in [0, 1) over [-1, 1)."""
    return 2 * unit - 1


def _flip_sign(unit: tf.Tensor, flips: bool) -> tf.Tensor:
    """-1 for half of the draws in [0, 1) where flips are wanted, else 1."""
    return tf.where(unit < 0.5, -1.0, 1.0) if flips else tf.ones_like(unit)


def _non_negative(name: str, value: float) -> float:
    if value < 0:
        raise ValueError(f"{name} must be at least 0, not {value}")
    return float(value)


def _zoom_bounds(zoom_range: float | Sequence[float]) -> tuple[float, float]:
    """The pair (low, high) of a zoom range given as a pair or as the float z."""
    low, high = zoom_range if isinstance(zoom_range, Sequence) else (1 - zoom_range, 1 + zoom_range)
    if not 0 < low <= high:
        raise ValueError(f"zoom_range must give 0 < low <= high, not {zoom_range}")
    return float(low), float(high)
