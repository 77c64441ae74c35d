"""Random tone curves: what a vendor's look-up table makes of grey levels, drawn anew each time.

Akin to MONAI's RandHistogramShift, with even knots and a limit of the slopes.
"""

import tensorflow as tf

PIECES = 8


def bend(images: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
    """Maps grey levels by a rising curve of straight pieces, from 0 to 0 and from 1 to 1.

    Args:
      images: [b, H, W, C] float32 in 0..1.
      slopes: [b, PIECES] float32 above 0, of the pieces from black to white, before they are
        scaled so that the curve ends at 1.
    """
    rises = slopes / tf.reduce_sum(slopes, axis=1, keepdims=True)
    rises = tf.unstack(rises[:, :, None, None, None], axis=1)
    place = images * PIECES
    return tf.add_n([rise * tf.clip_by_value(place - k, 0.0, 1.0) for k, rise in enumerate(rises)])
