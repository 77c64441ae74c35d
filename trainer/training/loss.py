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
TRIED, LARGEST = 8, 3.0  # images, and their logits, that one's own loss is tried on
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
      UsageError: if a function of the user's own cannot be called, or returns what it must not.
    """
    if ":" in config.name:
        return _own(config.name, outputs, exclusive=exclusive)
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


def _own(name: str, outputs: int, *, exclusive: bool) -> Elements:
    """Returns the user's function, once it has given losses that something can be learnt from."""
    function = own_function.load(name, "loss.name")
    numbers = np.arange(TRIED) % (outputs if exclusive else 2)
    labels = np.eye(outputs)[numbers] if exclusive else np.repeat(numbers[:, None], outputs, 1)
    try:
        fault = _fault(function, tf.constant(labels, tf.float32))
    except own_function.RAISED as error:
        fault = f"fails ({own_function.reason(error)})"
    if fault:
        raise UsageError(
            f"loss.name={name} {fault}: it gets (labels, logits) of [images, labels] and returns "
            "the loss of each, float32."
        )
    return function


def _fault(function: Elements, labels: tf.Tensor) -> str:
    """Returns what is wrong with a loss on images with these labels, "" for nothing."""
    function = tf.function(function, autograph=False)  # as in a step: NumPy sees no numbers
    logits = tf.linspace(-LARGEST, LARGEST, TRIED)[:, None] * tf.ones_like(labels)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = tf.convert_to_tensor(function(labels, logits))
    if losses.shape != labels.shape or losses.dtype != tf.float32:
        shapes = f"{list(losses.shape)} for {list(labels.shape)}"
        return f"returns {losses.dtype.name} of shape {shapes}"
    gradient = tape.gradient(losses, logits, unconnected_gradients="zero")
    if not np.isfinite([losses, gradient]).all():
        return f"has no finite value and gradient for logits of -{LARGEST:g} to {LARGEST:g}"
    if not np.any(gradient):
        return "has no gradient by the logits, so that nothing can be learnt from it"
    half = TRIED // 2
    if not np.allclose(function(labels[half:], logits[half:]), losses[half:], rtol=1e-4, atol=1e-5):
        return "gives an image another loss where others lie beside it, or when called again"
    return ""
