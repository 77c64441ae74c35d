"""Local contrast, as vendors equalise it: a Wallis filter of limited gain, akin to CLAHE."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

TILES = 8  # a side, at most; as many as CLAHE usually has
LARGEST_GAIN = 3.0  # of the contrast, else the noise of flat regions would be all there is
FLATTEST = 1e-3  # standard deviation that still counts


def equalise(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Brings mean and standard deviation about each pixel towards those of the whole image.

    Those of square tiles are interpolated between the centres of these, as in CLAHE.

    Args:
      images: [b, H, W, C] float32; H and W static.
      amount: [b, 1, 1, 1] float32, from 0 for the images as they are to 1 for equal tiles.
    """
    whole = images.shape[1:3]
    tile = [-(-size // TILES) for size in whole]
    mean, deviation = _moments(images, whole)
    local_mean, local_deviation = (
        _between_centres(_between_centres(tiles, 1, whole[0]), 2, whole[1])
        for tiles in _moments(images, tile)
    )
    gain = tf.minimum(deviation / tf.maximum(local_deviation, FLATTEST), LARGEST_GAIN)
    equal = mean + gain * (images - local_mean)
    return images + amount * (equal - images)


def _moments(images: tf.Tensor, tile: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns mean and standard deviation of each tile: [b, rows, columns, C] each."""
    mean = tf.nn.avg_pool2d(images, tile, tile, "SAME")
    square = tf.nn.avg_pool2d(images**2, tile, tile, "SAME")
    return mean, tf.sqrt(tf.maximum(square - mean**2, 0.0))


def _between_centres(tiles: tf.Tensor, axis: int, size: int) -> tf.Tensor:
    """Returns the values of tiles along an axis at each of its `size` pixels, linear between."""
    count, tile = tiles.shape[axis], -(-size // TILES)
    first_centre = (tile - 1) / 2 - (count * tile - size) // 2  # "SAME" pads both ends alike
    place = np.clip((np.arange(size) - first_centre) / tile, 0, count - 1)
    before = np.minimum(place.astype(np.int32), count - 1)
    after = np.minimum(before + 1, count - 1)
    shape = [size if i == axis else 1 for i in range(4)]
    weight = tf.constant((place - before).reshape(shape).astype(np.float32))
    return (1 - weight) * tf.gather(tiles, before, axis=axis) + weight * tf.gather(
        tiles, after, axis=axis
    )
