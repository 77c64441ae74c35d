"""Random collimation: borders covered as by a collimator's shutters, black or of any grey.

How far an exposed field reaches, and the letters beside it, tell where and of whom a radiograph was
taken rather than what it shows.
"""

import tensorflow as tf

from trainer import random_numbers
from trainer.augment import salts
from trainer.augment.random_layer import RandomLayer, non_negative


class RandomCollimation(RandomLayer):
    """Covers borders of an image, each of the four in every second image, at random.

    All borders of an image have one grey: black in every second image, else any.

    Args:
      collimate: largest share of a side that one border covers. 0 is off.

    Raises:
      ValueError: it is negative.
    """

    def __init__(self, *, collimate: float = 0.0):
        super().__init__()
        self.collimate = non_negative("collimate", collimate)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        return bool(self.collimate)

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int
    ) -> tf.Tensor:
        """Changes [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        unit = random_numbers.uniform(
            key, salts.COLLIMATION, rows, global_batch=global_batch, shape=(10,)
        )
        depth, is_covered, grey = unit[:, :4], unit[:, 4:8] < 0.5, unit[:, 8:]
        depths = tf.where(is_covered, self.collimate * depth, 0.0)
        top, bottom, left, right = tf.unstack(depths, axis=1)
        covered = _borders(top, bottom, images.shape[1])[:, :, None, None]
        covered |= _borders(left, right, images.shape[2])[:, None, :, None]
        level = tf.where(grey[:, 0] < 0.5, 0.0, grey[:, 1])
        return tf.where(covered, level[:, None, None, None], images)


def _borders(first: tf.Tensor, last: tf.Tensor, size: int) -> tf.Tensor:
    """Returns which pixels of a side lie in the borders at its two ends: [b, size] bool."""
    place = (tf.range(size, dtype=tf.float32) + 0.5) / size
    return (place < first[:, None]) | (1 - place < last[:, None])
