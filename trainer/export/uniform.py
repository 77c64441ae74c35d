"""What `prepare --uniform` does to every image, as TensorFlow operations, bit for bit.

That is `trainer.data.decode.recode`: one size, Pillow's Gaussian blur, and JPEG of one quality.
"""

import numpy as np
import tensorflow as tf

from trainer.data.decode.recode import UNIFORM_BLUR, UNIFORM_QUALITY
from trainer.export import resampling
from trainer.export.resampling import DOUBLE, Box

PASSES = 3  # of a box, along each axis, in place of a Gaussian
BITS = 24  # of a weight


def uniform(grey: tf.Tensor, side: int) -> tf.Tensor:
    """Returns a grey image, [H, W] uint8, as if it had been encoded like all others.

    Args:
      grey: [H, W] uint8.
      side: longest side of the result, pixels.
    """
    lengths = tf.cast(tf.shape(grey), DOUBLE)
    height, width = tf.unstack(tf.maximum(tf.round(lengths * side / tf.reduce_max(lengths)), 1.0))
    resized = resampling.lanczos(grey, height, width, Box.whole(grey))
    blurred = tf.cast(_blurred(tf.cast(resized, tf.int64)), tf.uint8)[..., tf.newaxis]
    file = tf.io.encode_jpeg(blurred, format="grayscale", quality=UNIFORM_QUALITY)
    return tf.io.decode_jpeg(file, channels=1, dct_method="INTEGER_ACCURATE")[..., 0]


def _blurred(grey: tf.Tensor) -> tf.Tensor:
    """Returns Pillow's blur (BoxBlur.c) of whole numbers, [H, W] int64, for a box of 1 to 3 pixels.

    The box is as wide as gives the deviation after all passes, with a part of a pixel at each end
    (Gwosdek et al., SSVM 2011); pixels beyond an edge are those at the edge.
    """
    variance = np.float32(UNIFORM_BLUR**2 / PASSES)
    part = np.float32(-3 * variance / (6 * (variance - 1)))
    middle = int(np.float32(2**BITS) / np.float32(part * 2 + 1))
    outer = (2**BITS - middle) // 2
    for axis in (1, 0):
        for _ in range(PASSES):
            before, after = _shifted(grey, axis)
            sums = grey * middle + (before + after) * outer
            grey = tf.bitwise.right_shift(sums + 2 ** (BITS - 1), tf.constant(BITS, tf.int64))
    return grey


def _shifted(grey: tf.Tensor, axis: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the pixel before, and the one after, each pixel along an axis."""
    if axis == 1:
        return (
            tf.concat([grey[:, :1], grey[:, :-1]], 1),
            tf.concat([grey[:, 1:], grey[:, -1:]], 1),
        )
    return tf.concat([grey[:1], grey[:-1]], 0), tf.concat([grey[1:], grey[-1:]], 0)
