"""Base class of the augmentation layers, and checks of their ranges."""

import keras
import tensorflow as tf


class RandomLayer(keras.layers.Layer):
    """A stateless layer in float32, called as `layer(images, key, rows, global_batch=...)`."""

    def __init__(self):
        # float32 under any policy: half precision places pixels wrongly and bands grey levels.
        super().__init__(dtype="float32")
        self.built = True


def signed(unit: tf.Tensor) -> tf.Tensor:
    """Returns draws in [0, 1) spread over [-1, 1)."""
    return 2 * unit - 1


def non_negative(name: str, value: float) -> float:
    """Returns the value of the range `name`.

    Raises:
      ValueError: it is below 0.
    """
    if value < 0:
        raise ValueError(f"{name} must be at least 0, not {value}")
    return float(value)
