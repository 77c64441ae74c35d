"""The loss of examples: of any number of labels, some of them unknown, or of exclusive classes.

Labels may be shares between 0 and 1, as those of mixed images: such a label counts as a positive
example by its share, and as a negative one by the rest.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.system import own_function
from trainer.system.errors import UsageError

EQUAL_WEIGHTS = np.ones((2, 1), np.float32)  # of negative and of positive examples
TINY = 1e-30  # in place of 0, where a logarithm or a power has no gradient

# (labels, logits) [b, K] float32, the labels smoothed -> the loss of each label, [b, K].
Elements = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def elements_of(config: ConfigDict, outputs: int, *, exclusive: bool = False) -> Elements | None:
    """Returns the loss of each label that a config names, None for the cross-entropy.

    Args:
      config: the fields `loss.*`.
      outputs: number of labels K.
      exclusive: whether the labels are classes of which each example has one.

    Raises:
      UsageError: if a function of the user's own cannot be called, or returns another shape.
    """
    if ":" in config.name:
        return _own(config.name, outputs)
    if config.name == "focal":
        return partial(focal_of_classes if exclusive else focal, gamma=config.gamma)
    if config.name == "asymmetric":
        return partial(
            asymmetric,
            gamma_positive=config.gamma_positive,
            gamma_negative=config.gamma_negative,
            margin=config.margin,
        )
    return None


def loss_of(
    logits: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    *,
    label_smoothing: float = 0.0,
    class_weights: np.ndarray = EQUAL_WEIGHTS,
    exclusive: bool = False,
    elements: Elements | None = None,
) -> tf.Tensor:
    """Returns the sum over examples of their weighted loss, a float32 scalar.

    That of independent labels is averaged over them; what is not known contributes nothing. That
    of exclusive classes is summed over them.

    Args:
      logits: [b, K] float32.
      labels: [b, K] float32: 1, 0, a share between them, or -1 where it is not known.
      weights: [b] float32.
      label_smoothing: share s of the label spread over all classes: of two, 1 becomes 1 - s / 2.
      class_weights: [2, K] or [2, 1] float32, of negative and of positive examples; a label that
        is a share has the same mixture of the two.
      exclusive: whether the labels are classes of which each example has one.
      elements: the loss of each label; None for the cross-entropy.
    """
    logits = tf.cast(logits, tf.float32)
    negative, positive = class_weights
    shares = tf.maximum(labels, 0.0)
    if exclusive:
        smooth = shares * (1 - label_smoothing) + label_smoothing / labels.shape[1]
        if elements is None:
            losses = tf.nn.softmax_cross_entropy_with_logits(smooth, logits)
        else:
            losses = tf.reduce_sum(elements(smooth, logits), 1)
        of_class = tf.reduce_sum(shares * positive, 1)  # 0 where none is known
        return tf.reduce_sum(losses * of_class * weights)
    smooth = shares * (1 - label_smoothing) + label_smoothing / 2
    losses = (elements or tf.nn.sigmoid_cross_entropy_with_logits)(smooth, logits)
    by_class = shares * positive + (1 - shares) * negative
    known = tf.where(labels >= 0, by_class, 0.0)
    return tf.reduce_sum(losses * known * weights[:, None]) / labels.shape[1]


def focal(labels: tf.Tensor, logits: tf.Tensor, *, gamma: float) -> tf.Tensor:
    """Returns (1 - p_t)^gamma -log p_t, p_t the probability of the truth: [b, K].

    Equation 4 of Lin et al. (2017), "Focal loss for dense object detection".
    """
    surprise, other = tf.nn.softplus(-logits), tf.nn.softplus(logits)  # -log p, -log(1 - p)
    positive = tf.exp(-gamma * other) * surprise
    return labels * positive + (1 - labels) * tf.exp(-gamma * surprise) * other


def focal_of_classes(labels: tf.Tensor, logits: tf.Tensor, *, gamma: float) -> tf.Tensor:
    """Returns (1 - p)^gamma -log p of each class by its share, p by a softmax: [b, K]."""
    log_p = tf.nn.log_softmax(logits)
    unlikely = tf.maximum(-tf.math.expm1(log_p), TINY)
    return -labels * tf.pow(unlikely, gamma) * log_p


def asymmetric(
    labels: tf.Tensor,
    logits: tf.Tensor,
    *,
    gamma_positive: float,
    gamma_negative: float,
    margin: float,
) -> tf.Tensor:
    """Returns the asymmetric loss with a shifted probability of negatives: [b, K].

    Equation 7 of Ridnik et al. (2021), "Asymmetric loss for multi-label classification".
    """
    positive = tf.exp(-gamma_positive * tf.nn.softplus(logits)) * tf.nn.softplus(-logits)
    shifted = tf.maximum(tf.sigmoid(logits) - margin, TINY)
    log_complement = tf.math.log(tf.clip_by_value(tf.sigmoid(-logits) + margin, TINY, 1.0))
    negative = tf.pow(shifted, gamma_negative) * -log_complement
    return labels * positive + (1 - labels) * negative


def _own(name: str, outputs: int) -> Elements:
    """Returns the user's function, once it has given the loss of two images."""
    function = own_function.load(name, "loss.name")
    labels = tf.constant([[0.0] * outputs, [1.0] * outputs])
    rule = "it gets (labels, logits) of [images, labels] and returns the loss of each, float32"
    try:
        given = tf.convert_to_tensor(function(labels, tf.zeros_like(labels)))
    except Exception as error:  # whatever a user's function may raise
        sentence = f"loss.name={name} fails ({own_function.reason(error)}): {rule}."
        raise UsageError(sentence) from error
    if given.shape != labels.shape or given.dtype != tf.float32:
        raise UsageError(
            f"loss.name={name} returns {given.dtype.name} of shape {list(given.shape)} for "
            f"{list(labels.shape)}: {rule}."
        )
    return function
