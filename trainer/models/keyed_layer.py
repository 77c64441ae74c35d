"""Layers whose random draws in training depend on (seed, step, row) alone.

Those of Keras keep the state of their generator in a variable that starts equal on every replica:
replicas would share their draws, and a checkpoint would have to contain that state.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import keras
import tensorflow as tf

from trainer import random_numbers


class Draw(NamedTuple):
    """The source of draws: key [2] int32, rows [b] int32, and the size of the global batch."""

    key: tf.Tensor
    rows: tf.Tensor
    global_batch: int


_DRAW: ContextVar[Draw | None] = ContextVar("draw", default=None)


@contextmanager
def drawing_from(key: tf.Tensor, rows: tf.Tensor, global_batch: int) -> Iterator[None]:
    """Sets the source of the draws of all keyed layers that are called inside."""
    token = _DRAW.set(Draw(key, rows, global_batch))
    try:
        yield
    finally:
        _DRAW.reset(token)


class KeyedLayer(keras.layers.Layer):
    """Changes its inputs in training, each example by draws of its own; else returns them."""

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the inputs, changed in training."""
        if not training or isinstance(inputs, keras.KerasTensor):
            return inputs
        return self.changed(inputs)

    def changed(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns inputs [b, ...] as they are in training."""
        raise NotImplementedError

    def plain(self) -> keras.layers.Layer:
        """Returns the layer of Keras that does the same, but for the source of its draws."""
        return getattr(keras.layers, type(self).__name__).from_config(self.get_config())

    def uniform(self, shape: Sequence[int] = ()) -> tf.Tensor:
        """Returns numbers in [0, 1), the same in each call of a step: [b, *shape] float32."""
        draw = _DRAW.get()
        if draw is None:
            raise RuntimeError(f"{self.name} in training is called inside drawing_from(...)")
        salt = zlib.crc32(self.name.encode()) & 0x7FFFFFFF
        return random_numbers.uniform(
            draw.key, salt, draw.rows, global_batch=draw.global_batch, shape=shape
        )

    def between(self, bounds: tuple[float, float], shape: Sequence[int] = ()) -> tf.Tensor:
        """Returns numbers from the first bound to the second: [b, *shape] float32."""
        low, high = bounds
        return low + (high - low) * self.uniform(shape)

    def normal(self, shape: Sequence[int] = ()) -> tf.Tensor:
        """Returns numbers of mean 0 and variance 1 (Box and Muller 1958): [b, *shape] float32."""
        radius, angle = tf.unstack(self.uniform((2, *shape)), axis=1)
        return tf.sqrt(-2 * tf.math.log1p(-radius)) * tf.cos(2 * math.pi * angle)
