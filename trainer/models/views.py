"""Views of an image, of whose outputs the mean is the network's answer."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

# By how many there are (`model.views`), the scales at which an image and its mirror image are seen:
# 0.9 shows nine tenths of it, 1.1 repeats what is at its edges.
SCALES = {2: (1.0,), 6: (1.0, 0.9, 1.1)}


class Resampling(NamedTuple):
    """How a view is made of an image: rows, then columns, as products with matrices.

    Attributes:
      rows: [S, S] float32, from the rows of an image to those of the view.
      columns: [S, S] float32, likewise.
    """

    rows: np.ndarray
    columns: np.ndarray


def answer(network: keras.Model, images: tf.Tensor, views: int) -> tf.Tensor:
    """Returns the mean of what a network gives for the views of images, [b, E] float32.

    Args:
      network: whose answer it is.
      images: [b, S, S, C] float32 in 0..1.
      views: how many of each it sees.
    """
    return mean(network(stack(images, views), training=False), views)


def answer_and_features(
    network: keras.Model, images: tf.Tensor, views: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the same, and the features of the images as they are, [b, d] float32.

    Args:
      network: whose answer it is, with two outputs.
      images: as in `answer`.
      views: likewise.
    """
    outputs, features = network(stack(images, views), training=False)
    return mean(outputs, views), tf.cast(features[: tf.shape(images)[0]], tf.float32)


def resamplings(size: int, views: int) -> list[Resampling]:
    """Returns how each view but the first, which is the image as it is, is made.

    Args:
      size: the image's side.
      views: how many there are.
    """
    if views == 1:
        return []
    made = []
    for scale in SCALES[views]:
        matrix = _interpolation(size, scale)
        made += [Resampling(matrix, matrix), Resampling(matrix, matrix[::-1])]
    return made[1:]


def stack(images: tf.Tensor, views: int) -> tf.Tensor:
    """Returns all views of a batch, those of a kind together and the images as they are first.

    Args:
      images: [b, S, S, C] float32.
      views: how many there are.

    Returns:
      [views * b, S, S, C] float32.
    """
    seen = [images]
    for rows, columns in resamplings(images.shape[1], views):
        turned = tf.einsum("bijc,hi->bhjc", images, tf.constant(rows))
        seen.append(tf.einsum("bijc,wj->biwc", turned, tf.constant(columns)))
    return tf.concat(seen, 0) if len(seen) > 1 else images


def mean(outputs: tf.Tensor, views: int) -> tf.Tensor:
    """Returns the mean over the views of `stack`: [views * b, E] -> [b, E] float32."""
    outputs = tf.cast(outputs, tf.float32)
    if views == 1:
        return outputs
    return tf.reduce_mean(tf.reshape(outputs, [views, -1, outputs.shape[-1]]), 0)


def _interpolation(size: int, scale: float) -> np.ndarray:
    """Returns the matrix of a linear interpolation about the centre; edges go on beyond theirs.

    Row h holds the weights of the pixels that pixel h of the view lies between: [S, S] float32.
    """
    centre, pixels = (size - 1) / 2, np.arange(size)
    places = np.clip(centre + (pixels - centre) * scale, 0, size - 1)
    return np.maximum(1 - np.abs(places[:, None] - pixels), 0).astype(np.float32)
