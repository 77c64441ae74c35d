"""Keras' augmentation layers inside a network, by draws for each row.

In use each returns its images; in training each does what that of Keras of the same name does, and
is compiled by XLA, which has no kernel for how Keras moves pixels. Images are [b, H, W, C].
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.augment.resample import AffineParameters, affine_matrices, resample
from trainer.models.keyed_layer import KeyedLayer

AXES = {"horizontal": [2], "vertical": [1], "horizontal_and_vertical": [1, 2]}
FRAME = [[0, 0], [1, 1], [1, 1], [0, 0]]  # a pixel on each side
Factor = float | Sequence[float]


@keras.saving.register_keras_serializable("trainer")
class RandomFlip(KeyedLayer):
    """Flips half of the images along one axis, or along both at once, as `mode` says."""

    def __init__(self, mode: str = "horizontal_and_vertical", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the images, half of them flipped."""
        return tf.where(self.uniform((1, 1, 1)) < 0.5, tf.reverse(inputs, AXES[self.mode]), inputs)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "mode": self.mode}


class _RandomTone(KeyedLayer):
    """Changes grey levels by a factor of each image, and clips them to a range of values."""

    def __init__(
        self, factor: tuple[float, float], value_range: tuple[float, float] = (0, 255), **kwargs
    ):
        super().__init__(**kwargs)
        self.factor = factor
        self.value_range = value_range

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


@keras.saving.register_keras_serializable("trainer")
class RandomContrast(_RandomTone):
    """Multiplies the distance from each channel's mean by 1 - lower to 1 + upper."""

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the images with another contrast."""
        lower, upper = self.factor
        factor = tf.cast(self.between((1 - lower, 1 + upper), (1, 1, 1)), inputs.dtype)
        mean = tf.reduce_mean(inputs, [1, 2], keepdims=True)
        return tf.clip_by_value(mean + factor * (inputs - mean), *self.value_range)


@keras.saving.register_keras_serializable("trainer")
class RandomBrightness(_RandomTone):
    """Adds a share lower to upper of the range of values."""

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the images with another brightness."""
        low, high = self.value_range
        added = (high - low) * self.between(self.factor, (1, 1, 1))
        return tf.clip_by_value(inputs + tf.cast(added, inputs.dtype), low, high)


class _RandomGeometry(KeyedLayer):
    """Moves pixels, with those beyond the border as `fill_mode` says."""

    def __init__(self, *, fill_mode: str = "reflect", fill_value: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.fill_mode = fill_mode
        self.fill_value = fill_value

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the images, resampled once."""
        matrices = affine_matrices(self.parameters(*inputs.shape[1:3]))
        images = tf.cast(inputs, tf.float32)
        if self.fill_mode == "constant":  # that of Keras is blended with the border
            framed = tf.pad(images, FRAME, constant_values=self.fill_value)
            moved = resample(framed, matrices, fill_mode="nearest")[:, 1:-1, 1:-1]
        else:
            moved = resample(images, matrices, fill_mode=self.fill_mode)
        return tf.cast(moved, inputs.dtype)

    def parameters(self, height: int, width: int) -> AffineParameters:
        """Returns what is drawn for images of so many pixels."""
        raise NotImplementedError

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        filled = {"fill_mode": self.fill_mode, "fill_value": self.fill_value}
        return {**super().get_config(), **filled}


@keras.saving.register_keras_serializable("trainer")
class RandomRotation(_RandomGeometry):
    """Rotates counter-clockwise by lower to upper, fractions of a whole turn."""

    def __init__(self, factor: tuple[float, float], **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def parameters(self, height: int, width: int) -> AffineParameters:
        """Returns the angles."""
        return _unmoved(self.uniform())._replace(theta=360 * self.between(self.factor))

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "factor": self.factor}


class _RandomSides(_RandomGeometry):
    """Moves pixels along each axis by a number of its own.

    Args:
      height_factor: bounds along the rows, or the one that is the other's negative.
      width_factor: likewise along the columns; None for the same numbers as along the rows.
    """

    def __init__(self, height_factor: Factor, width_factor: Factor | None = None, **kwargs):
        super().__init__(**kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor

    def drawn(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the numbers along rows and columns: [b] float32 each."""
        unit = self.uniform((2,))
        along_rows = _within(unit[:, 0], self.height_factor)
        if self.width_factor is None:
            return along_rows, along_rows
        return along_rows, _within(unit[:, 1], self.width_factor)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        sides = {"height_factor": self.height_factor, "width_factor": self.width_factor}
        return {**super().get_config(), **sides}


@keras.saving.register_keras_serializable("trainer")
class RandomZoom(_RandomSides):
    """Zooms out by fractions of each side, in by negative ones."""

    def parameters(self, height: int, width: int) -> AffineParameters:
        """Returns the zooms."""
        y, x = self.drawn()
        return _unmoved(x)._replace(zx=1 + x, zy=1 + y)


@keras.saving.register_keras_serializable("trainer")
class RandomTranslation(_RandomSides):
    """Shifts down and to the right by fractions of each side."""

    def parameters(self, height: int, width: int) -> AffineParameters:
        """Returns the shifts."""
        y, x = self.drawn()
        return _unmoved(x)._replace(tx=-width * x, ty=-height * y)


def _within(unit: tf.Tensor, factor: Factor) -> tf.Tensor:
    """Returns draws in [0, 1) spread over the bounds of a factor."""
    low, high = sorted(factor) if isinstance(factor, Sequence) else (-abs(factor), abs(factor))
    return low + (high - low) * unit


def _unmoved(like: tf.Tensor) -> AffineParameters:
    """Returns the parameters that leave images as they are, [b] each as the given ones."""
    zero, one = tf.zeros_like(like), tf.ones_like(like)
    return AffineParameters(
        theta=zero, tx=zero, ty=zero, shear=zero, zx=one, zy=one, flip_x=one, flip_y=one
    )
