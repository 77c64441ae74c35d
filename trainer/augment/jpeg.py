"""JPEG compression of image batches, as tensor operations that compile under XLA.

Blocks are transformed, quantised and transformed back as ITU-T T.81 describes for a grey image,
with the tables and the precision of the IJG's libjpeg; the entropy coding, which loses nothing,
is left out.

All sums are of whole numbers in int32, and equal in any order and on any device. In float32 some
coefficients would be rounded differently, each time by a whole step of the quantisation, and a TPU
or a GPU would round the factors of a product to 8 or 11 bits.
"""

import numpy as np
import tensorflow as tf

BLOCK = 8
LEVELS = 255

# Table K.1 of ITU-T T.81 (1992), luminance.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)

# Bits behind the point of the transform's factors, and of what is kept between its two halves.
FACTOR_BITS = 13
KEPT_BITS = 2

# The DCT-II of a block's column or row, times sqrt(8) so that its first row is 1: A.3.3 of T.81.
_POSITION = np.arange(BLOCK)
_COSINES = np.cos(np.outer(_POSITION, 2 * _POSITION + 1) * np.pi / (2 * BLOCK))
_FACTORS = np.where(_POSITION[:, None] == 0, 1, np.sqrt(2)) * _COSINES
FACTORS = np.round(_FACTORS * 2**FACTOR_BITS).astype(np.int32)


def quantisation_table(quality: int) -> np.ndarray:
    """Returns the quantisation steps of a block, [8, 8] int32, 1 to 255, by vertical frequency.

    The IJG's scaling of Table K.1 by a quality of 1 to 100, in whole numbers: `jpeg_set_quality`
    of libjpeg (jcparam.c).
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((LUMINANCE * percent + 50) // 100, 1, 255).astype(np.int32)


TABLES = np.stack([quantisation_table(quality) for quality in range(1, 101)])


def compress(images: tf.Tensor, quality: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    """Compresses each image at its own quality, each channel as a grey image, and decompresses it.

    Beyond the border, blocks are filled with the border's pixels.

    Args:
      images: [b, H, W, C] float32 in 0..1; H, W and C static.
      quality: [b] int32, 1 to 100; 100 is a grey level from lossless.
      corner: [b, 2] int32, 0 to 7: the row and the column of a block at which the image begins;
        (0, 0) is a file that was never cropped.

    Returns:
      [b, H, W, C] float32, whole multiples of 1 / 255 in 0..1.
    """
    height, width = images.shape[1:3]
    levels = tf.cast(tf.round(images * LEVELS), tf.int32)
    for axis in (1, 2):
        levels = _window(_extend(levels, axis), BLOCK - 1 - corner[:, axis - 1], axis)
    # A look-up of 64 numbers an image.
    steps = tf.gather(tf.constant(TABLES), quality - 1)
    levels = _merge(_compress_blocks(_split(levels), steps), levels.shape)
    for axis, size in ((1, height), (2, width)):
        needed = tf.split(levels, [size + BLOCK - 1, -1], axis)[0]
        levels = _window(needed, corner[:, axis - 1], axis)
    return tf.cast(levels, tf.float32) / LEVELS


def _compress_blocks(blocks: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Returns blocks [8, 8, b, n] int32 in 0..255, quantised by `steps` [b, 8, 8] and restored."""
    steps = tf.transpose(steps, [1, 2, 0])[..., tf.newaxis]
    middle = (LEVELS + 1) // 2
    # Along the rows first, and back along the columns first, as libjpeg rounds halfway.
    halfway = _transform(blocks - middle, FACTORS, axis=1, shift=FACTOR_BITS - KEPT_BITS)
    eightfold = _transform(halfway, FACTORS, axis=0, shift=FACTOR_BITS + KEPT_BITS)
    coefficients = _quotient(eightfold, BLOCK * steps) * steps
    halfway = _transform(coefficients, FACTORS.T, axis=0, shift=FACTOR_BITS - KEPT_BITS)
    # 3 more bits for the eightfold.
    blocks = _transform(halfway, FACTORS.T, axis=1, shift=FACTOR_BITS + KEPT_BITS + 3)
    return tf.clip_by_value(blocks + middle, 0, LEVELS)


def _transform(blocks: tf.Tensor, factors: np.ndarray, *, axis: int, shift: int) -> tf.Tensor:
    """Returns the product of `factors` [8, 8] and an axis of 8, divided by 2 ** shift and rounded.

    Written out, since XLA has no fast product of whole numbers. Sums stay below 2 ** 30.
    """
    lines = tf.unstack(blocks, axis=axis)
    half = 1 << (shift - 1)
    sums = (
        sum((line * factor for line, factor in zip(lines, row, strict=True)), start=half)
        for row in factors.tolist()
    )
    return tf.stack([tf.bitwise.right_shift(total, shift) for total in sums], axis)


def _quotient(x: tf.Tensor, divisor: tf.Tensor) -> tf.Tensor:
    """Returns x / divisor, int32, rounded to the nearest, halves away from 0; the divisor is even.

    In float32, as a division of integers is slow. Both are below 2 ** 14, and the 0.5 keeps the
    quotient off whole numbers by more than any device's rounding.
    """
    numerator = tf.cast(tf.abs(x) + divisor // 2, tf.float32) + 0.5
    size = tf.cast(tf.floor(numerator / tf.cast(divisor, tf.float32)), tf.int32)
    return tf.where(x < 0, -size, size)


def _extend(levels: tf.Tensor, axis: int) -> tf.Tensor:
    """Repeats the border pixels: 7 times before, and after to whole blocks for any corner."""
    size = levels.shape[axis]
    after = -(size + BLOCK - 1) % BLOCK + BLOCK - 1
    first, _, last = tf.split(levels, [1, size - 2, 1], axis)
    before = tf.repeat(first, BLOCK - 1, axis)
    return tf.concat([before, levels, tf.repeat(last, after, axis)], axis)


def _window(levels: tf.Tensor, start: tf.Tensor, axis: int) -> tf.Tensor:
    """Drops `start` [b] lines before and 7 - `start` after, for each image its own number.

    In three choices between two slices, one for each bit of `start`, where a slice of every
    image's own would be a gather.
    """
    for bit in (1, 2, 4):
        size = levels.shape[axis] - bit
        dropped_after = tf.split(levels, [size, bit], axis)[0]
        dropped_before = tf.split(levels, [bit, size], axis)[1]
        chosen = tf.bitwise.bitwise_and(start, bit)[:, tf.newaxis, tf.newaxis, tf.newaxis] > 0
        levels = tf.where(chosen, dropped_before, dropped_after)
    return levels


def _split(levels: tf.Tensor) -> tf.Tensor:
    """Reshapes [b, H, W, C] to blocks [8, 8, b, n]: rows and columns of a block first."""
    height, width, channels = levels.shape[1:]
    rows, columns = height // BLOCK, width // BLOCK
    blocks = tf.reshape(levels, [-1, rows, BLOCK, columns, BLOCK, channels])
    blocks = tf.transpose(blocks, [2, 4, 0, 1, 3, 5])
    return tf.reshape(blocks, [BLOCK, BLOCK, -1, rows * columns * channels])


def _merge(blocks: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
    """Returns the images of that shape from which `_split` made the blocks."""
    height, width, channels = shape[1:]
    rows, columns = height // BLOCK, width // BLOCK
    blocks = tf.reshape(blocks, [BLOCK, BLOCK, -1, rows, columns, channels])
    return tf.reshape(tf.transpose(blocks, [2, 3, 0, 4, 1, 5]), [-1, height, width, channels])
