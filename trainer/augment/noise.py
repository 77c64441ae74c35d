"""Noise for every pixel from one draw for each image."""

import math
from collections.abc import Sequence

import tensorflow as tf


def pixel_noise(row_draw: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns noise of mean 0 and variance 1, close to normal: [b, *shape] float32.

    Hashes the pixel's index, since `random_numbers.uniform` would draw every pixel of the global
    batch on every replica. The sum of the hash's four bytes is near normal (Irwin-Hall, within 3.5
    standard deviations).

    Args:
      row_draw: [b] float32 from `random_numbers.uniform()`; distinguishes the images.
      shape: static shape of one image.
    """
    bits = _pixel_bits(row_draw, shape)
    byte_sum = tf.reduce_sum(tf.cast(tf.bitcast(bits, tf.uint8), tf.float32), axis=-1)
    variance = 4 * (256**2 - 1) / 12
    return tf.reshape((byte_sum - 2 * 255) / math.sqrt(variance), [-1, *shape])


def pixel_uniform(row_draw: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns numbers in [0, 1): [b, *shape] float32; the arguments are those of `pixel_noise`."""
    bits = tf.bitwise.right_shift(_pixel_bits(row_draw, shape), tf.constant(8, tf.uint32))
    return tf.reshape(tf.cast(bits, tf.float32) * 2.0**-24, [-1, *shape])


def _pixel_bits(row_draw: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Returns a hash for each pixel of each image: [b, pixels] uint32."""
    row_seed = tf.cast(row_draw * 2.0**24, tf.uint32)  # exact, see random_numbers.uniform
    pixel = tf.cast(tf.range(math.prod(shape)), tf.uint32)
    return _hash(tf.bitwise.bitwise_xor(_hash(row_seed)[:, tf.newaxis], pixel))


def _hash(x: tf.Tensor) -> tf.Tensor:
    """Mixes the bits of uint32 numbers: lowbias32 of https://github.com/skeeto/hash-prospector."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = _xor_shift(x, shift) * tf.constant(factor, tf.uint32)
    return _xor_shift(x, 16)


def _xor_shift(x: tf.Tensor, shift: int) -> tf.Tensor:
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, tf.constant(shift, tf.uint32)))
