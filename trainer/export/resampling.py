"""Pillow's resize of a grey image as TensorFlow operations, bit for bit.

An exported graph has to see the pixels that the network was trained on. Pillow (8 to 13, file
Resample.c) computes the weights of each output pixel in double precision, rounds them to 22 bits,
and rounds to 8 bits after the horizontal and after the vertical pass; `tf.image.resize` does not,
and differs by up to several grey levels.
"""

import math
from typing import NamedTuple

import tensorflow as tf

PRECISION = 2.0**22  # of a weight
DOUBLE = tf.float64


class Box(NamedTuple):
    """The part of an image that is resized: edges in pixels, scalars, which may be fractions."""

    left: tf.Tensor
    top: tf.Tensor
    right: tf.Tensor
    bottom: tf.Tensor

    @classmethod
    def whole(cls, image: tf.Tensor) -> "Box":
        """Returns the box of all of an image, [H, W]."""
        height, width = tf.unstack(tf.shape(image))
        zero = tf.zeros([], DOUBLE)
        return cls(zero, zero, tf.cast(width, DOUBLE), tf.cast(height, DOUBLE))


def bilinear(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor, box: Box) -> tf.Tensor:
    """Returns the box of an image as [height, width] uint8, by a triangle filter, antialiased.

    Args:
      image: [H, W] uint8.
      height: of the result, pixels.
      width: of the result, pixels.
      box: part of the image that is resized.
    """
    return _resize(image, (height, width), box, _triangle, 1.0)


def lanczos(image: tf.Tensor, height: tf.Tensor, width: tf.Tensor, box: Box) -> tf.Tensor:
    """Returns the box of an image as [height, width] uint8, by Lanczos' filter of three lobes."""
    return _resize(image, (height, width), box, _lanczos, 3.0)


def _resize(image: tf.Tensor, size: tuple, box: Box, kernel, support: float) -> tf.Tensor:
    height, width = (tf.cast(length, tf.int32) for length in size)
    rows, columns = tf.unstack(tf.shape(image))
    across = _weights(columns, (box.left, box.right), width, kernel=kernel, support=support)
    down = _weights(rows, (box.top, box.bottom), height, kernel=kernel, support=support)
    squeezed = _rounded(tf.matmul(tf.cast(image, DOUBLE), across, transpose_b=True))
    return tf.cast(_rounded(tf.matmul(down, squeezed)), tf.uint8)


def _weights(
    length: tf.Tensor, edges: tuple[tf.Tensor, tf.Tensor], out: tf.Tensor, *, kernel, support: float
) -> tf.Tensor:
    """Returns the weight of each pixel of a row in each pixel of the result, [out, length].

    They are whole numbers, `PRECISION` in all for each pixel of the result.
    """
    low, high = (tf.cast(edge, tf.float32) for edge in edges)  # as Pillow has them
    scale = tf.cast(high - low, DOUBLE) / tf.cast(out, DOUBLE)
    stretch = tf.maximum(scale, 1.0)
    reach = support * stretch
    centres = (tf.cast(low, DOUBLE) + (tf.range(out, dtype=DOUBLE) + 0.5) * scale)[:, None]
    first = tf.maximum(tf.floor(centres - reach + 0.5), 0.0)
    last = tf.minimum(tf.floor(centres + reach + 0.5), tf.cast(length, DOUBLE))
    pixels = tf.range(length, dtype=DOUBLE)[None]
    weights = kernel((pixels - centres + 0.5) * (1.0 / stretch))
    weights *= tf.cast((pixels >= first) & (pixels < last), DOUBLE)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    return tf.sign(weights) * tf.floor(tf.abs(weights) * PRECISION + 0.5)


def _rounded(sums: tf.Tensor) -> tf.Tensor:
    """Returns grey values, whole and within 0 to 255, of sums that are exact in float64."""
    return tf.clip_by_value(tf.floor((sums + PRECISION / 2) / PRECISION), 0.0, 255.0)


def _triangle(x: tf.Tensor) -> tf.Tensor:
    return tf.maximum(1.0 - tf.abs(x), 0.0)


def _lanczos(x: tf.Tensor) -> tf.Tensor:
    return _sinc(x) * _sinc(x / 3.0) * tf.cast((x >= -3.0) & (x < 3.0), DOUBLE)


def _sinc(x: tf.Tensor) -> tf.Tensor:
    is_zero = tf.cast(x == 0.0, DOUBLE)
    turned = x * math.pi + is_zero
    return (tf.sin(turned) * (1.0 - is_zero) + is_zero) / turned
