"""Layers that drop or disturb features in training, by draws for each row.

In use each returns its inputs; in training each does what that of Keras of the same name does.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainer.models.keyed_layer import KeyedLayer

SELU_FLOOR = -1.0507009873554805 * 1.6732632423543772  # what SELU gives for what is far below 0


@keras.saving.register_keras_serializable("trainer")
class Dropout(KeyedLayer):
    """Drops a share `rate` of an example's features in training, and scales up the others.

    Args:
      rate: the share.
      mask_shape: of an example's mask, which is drawn for each feature where it is None; 1 shares
        a draw along an axis, as (1, 1, None) drops whole channels and (1, 1, 1) whole examples.
    """

    def __init__(self, rate: float, mask_shape: Sequence[int | None] | None = None, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.mask_shape = mask_shape

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs with a share of their features dropped."""
        return inputs * self.kept(inputs) / (1 - self.rate) if self.rate else inputs

    def kept(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns 1 for what is kept of the inputs and 0 for what is dropped, in their dtype."""
        shape = list(inputs.shape[1:])
        if self.mask_shape is not None:
            shape = [size or full for size, full in zip(self.mask_shape, shape, strict=True)]
        return tf.cast(self.uniform(shape) >= self.rate, inputs.dtype)

    def plain(self) -> keras.layers.Layer:
        """Returns the layer of Keras that does the same, but for the source of its draws."""
        config = self.get_config()
        mask_shape = config.pop("mask_shape")
        noise_shape = mask_shape and (None, *mask_shape)
        return getattr(keras.layers, type(self).__name__)(noise_shape=noise_shape, **config)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "mask_shape": self.mask_shape}


@keras.saving.register_keras_serializable("trainer")
class AlphaDropout(Dropout):
    """Sets a share of the features to the floor of SELU, and keeps mean and variance of all.

    Section "New Dropout Technique" of Klambauer et al. (2017).
    """

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs with a share of their features at the floor."""
        kept = self.kept(inputs)
        scale = ((1 - self.rate) * (1 + self.rate * SELU_FLOOR**2)) ** -0.5
        dropped = inputs * kept + SELU_FLOOR * (1 - kept)
        return scale * (dropped - SELU_FLOOR * self.rate)


@keras.saving.register_keras_serializable("trainer")
class GaussianDropout(KeyedLayer):
    """Multiplies each feature by a normal number of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: float, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs multiplied by noise."""
        deviation = (self.rate / (1 - self.rate)) ** 0.5
        return inputs * tf.cast(1 + deviation * self.normal(inputs.shape[1:]), inputs.dtype)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable("trainer")
class GaussianNoise(KeyedLayer):
    """Adds normal noise of standard deviation `stddev` to each feature."""

    def __init__(self, stddev: float, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs with noise added."""
        return inputs + tf.cast(self.stddev * self.normal(inputs.shape[1:]), inputs.dtype)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "stddev": self.stddev}
