"""Dropout whose masks depend on (seed, step, row) alone.

That of Keras keeps the state of its generator in a variable that starts equal on every replica:
replicas would share their masks, and a checkpoint would have to contain that state.
"""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import keras
import tensorflow as tf

from trainer import random_numbers


class Draw(NamedTuple):
    """The source of a mask: key [2] int32, rows [b] int32, and the size of the global batch."""

    key: tf.Tensor
    rows: tf.Tensor
    global_batch: int


_DRAW: ContextVar[Draw | None] = ContextVar("draw", default=None)


@contextmanager
def drawing_from(key: tf.Tensor, rows: tf.Tensor, global_batch: int) -> Iterator[None]:
    """Sets the source of the masks of all Dropout layers that are called inside."""
    token = _DRAW.set(Draw(key, rows, global_batch))
    try:
        yield
    finally:
        _DRAW.reset(token)


@keras.saving.register_keras_serializable("trainer")
class Dropout(keras.layers.Layer):
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

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Returns the inputs, in training with a share of their features dropped."""
        if not training or self.rate == 0 or isinstance(inputs, keras.KerasTensor):
            return inputs
        draw = _DRAW.get()
        if draw is None:
            raise RuntimeError("Dropout in training is called inside dropout.drawing_from(...)")
        salt = zlib.crc32(self.name.encode()) & 0x7FFFFFFF
        shape = list(inputs.shape[1:])
        if self.mask_shape is not None:
            shape = [size or full for size, full in zip(self.mask_shape, shape, strict=True)]
        uniform = random_numbers.uniform(
            draw.key, salt, draw.rows, global_batch=draw.global_batch, shape=shape
        )
        kept = tf.cast(uniform >= self.rate, inputs.dtype)
        return inputs * kept / (1 - self.rate)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "mask_shape": self.mask_shape}
