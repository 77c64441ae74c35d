"""How a grey image of any shape becomes the network's square, as `trainer.data.decode.fit` does."""

import tensorflow as tf

from trainer.export import resampling
from trainer.export.resampling import DOUBLE, Box


def fit(image: tf.Tensor, side: int, mode: str) -> tf.Tensor:
    """Resizes a grey image to a square, bilinear and antialiased.

    Args:
      image: [H, W] uint8.
      side: side of the square, pixels.
      mode: "squash", "pad" or "crop", see `trainer.data.decode.fit`.

    Returns:
      [side, side] uint8.
    """
    whole = Box.whole(image)
    if mode == "squash":
        return _square(image, side, whole)
    if mode == "crop":
        return _square(image, side, _centre(whole))
    return _padded(image, side, whole)


def _square(image: tf.Tensor, side: int, box: Box) -> tf.Tensor:
    return tf.ensure_shape(resampling.bilinear(image, side, side, box), (side, side))


def _centre(whole: Box) -> Box:
    """Returns the square in the middle, as far as the shorter side reaches."""
    width, height = whole.right, whole.bottom
    shorter = tf.minimum(width, height)
    left, top = (width - shorter) * 0.5, (height - shorter) * 0.5
    return Box(left, top, left + shorter, top + shorter)


def _padded(image: tf.Tensor, side: int, whole: Box) -> tf.Tensor:
    """Keeps the aspect and the whole image, centred on black."""
    width, height = whole.right, whole.bottom
    full = tf.constant(side, DOUBLE)
    new_height = tf.where(width > height, tf.round(height / width * full), full)
    new_width = tf.where(width < height, tf.round(width / height * full), full)
    fitted = resampling.bilinear(
        image, tf.maximum(new_height, 1.0), tf.maximum(new_width, 1.0), whole
    )
    above, before = (
        tf.cast(tf.round((full - length) * 0.5), tf.int32) for length in (new_height, new_width)
    )
    rows, columns = tf.unstack(tf.shape(fitted))
    below, after = side - above - rows, side - before - columns
    padded = tf.pad(fitted, [[above, below], [before, after]])
    is_left = tf.minimum(new_height, new_width) >= 1.0  # of a line of pixels Pillow leaves nothing
    padded *= tf.cast(is_left, tf.uint8)
    return tf.ensure_shape(padded, (side, side))
