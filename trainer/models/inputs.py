"""Inputs of the networks, from stored images."""

import tensorflow as tf


def images_to_float(images: tf.Tensor) -> tf.Tensor:
    """Returns [b, S, S, 1] uint8 images as float32 in 0..1."""
    return tf.cast(images, tf.float32) / 255.0


def repeat_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Returns images with the grey channel repeated: [b, S, S, 1] -> [b, S, S, channels]."""
    return tf.repeat(images, channels, axis=-1) if channels > 1 else images
