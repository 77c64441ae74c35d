"""The loss of examples: of any number of labels, some of them unknown, or of exclusive classes."""

import numpy as np
import tensorflow as tf

EQUAL_WEIGHTS = np.ones((2, 1), np.float32)  # of negative and of positive examples


def loss_of(
    logits: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray = EQUAL_WEIGHTS,
    exclusive: bool = False,
) -> tf.Tensor:
    """Returns the sum over examples of the weighted cross-entropy, a float32 scalar.

    That of independent labels is binary, averaged over the labels; what is not known contributes
    nothing.

    Args:
      logits: [b, K] float32.
      labels: [b, K] float32: 1, 0, or -1 where it is not known.
      weights: [b] float32.
      label_smoothing: share s of the label spread over all classes: of two, 1 becomes 1 - s / 2.
      class_weights: [2, K] or [2, 1] float32, of negative and of positive examples.
      exclusive: whether the labels are classes of which each example has one.
    """
    if exclusive:
        positive = tf.cast(labels > 0.5, tf.float32)
        smooth = positive * (1 - label_smoothing) + label_smoothing / labels.shape[1]
        losses = tf.nn.softmax_cross_entropy_with_logits(smooth, tf.cast(logits, tf.float32))
        of_class = tf.reduce_sum(positive * class_weights[1], 1)  # 0 where none is known
        return tf.reduce_sum(losses * of_class * weights)
    smooth = labels * (1 - label_smoothing) + label_smoothing / 2
    losses = tf.nn.sigmoid_cross_entropy_with_logits(smooth, tf.cast(logits, tf.float32))
    negative, positive = class_weights
    by_class = tf.where(labels > 0.5, positive, negative)
    known = tf.where(labels >= 0, by_class, 0.0)
    return tf.reduce_sum(losses * known * weights[:, None]) / labels.shape[1]
