"""Random erasing: a rectangle of random grey levels (Zhong et al. 2020)."""

import math

import tensorflow as tf

from trainer import random_numbers
from trainer.augment import salts
from trainer.augment.noise import pixel_uniform
from trainer.augment.random_layer import RandomLayer, non_negative, signed

SMALLEST = 0.02  # share of the area
STRETCH = math.log(1 / 0.3)  # largest logarithm of height over width


class RandomErasing(RandomLayer):
    """Erases a rectangle of every second image, at random.

    Args:
      erase: largest erased share of the area; the smallest is 0.02 of it, or all of a smaller one.
        0 is off.

    Raises:
      ValueError: it is negative.
    """

    def __init__(self, *, erase: float = 0.0):
        super().__init__()
        self.erase = non_negative("erase", erase)

    @property
    def is_on(self) -> bool:
        """Whether any image can change."""
        return bool(self.erase)

    def call(
        self, images: tf.Tensor, key: tf.Tensor, rows: tf.Tensor, *, global_batch: int
    ) -> tf.Tensor:
        """Changes [b, H, W, C] float32 images; the arguments are those of `Augmentation`."""
        unit = random_numbers.uniform(
            key, salts.ERASING, rows, global_batch=global_batch, shape=(5,)
        )
        erased, area, stretch, *place = tf.unstack(unit, axis=1)
        smallest = min(SMALLEST, self.erase)
        share = tf.where(erased < 0.5, smallest + (self.erase - smallest) * area, 0.0)
        ratio = tf.exp(STRETCH * signed(stretch))
        inside = [
            _between(begin, tf.minimum(tf.sqrt(part), 1.0), size)
            for begin, part, size in zip(
                place, (share * ratio, share / ratio), images.shape[1:3], strict=True
            )
        ]
        rectangle = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        draw = random_numbers.uniform(key, salts.ERASING_GREY, rows, global_batch=global_batch)
        return tf.where(rectangle, pixel_uniform(draw, images.shape[1:]), images)


def _between(place: tf.Tensor, length: tf.Tensor, size: int) -> tf.Tensor:
    """Returns which pixels lie in an interval of a side: [b, size] bool.

    Args:
      place: [b] where it lies, from 0 at one end to 1 at the other.
      length: [b] share of the side.
      size: of the side, pixels.
    """
    pixels = tf.round(length * size)[:, None]
    begin = tf.floor(place[:, None] * (size - pixels + 1))
    pixel = tf.range(size, dtype=tf.float32)
    return (pixel >= begin) & (pixel < begin + pixels)
