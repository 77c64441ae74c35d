"""The loss follows its formulas, and a label that is not known moves nothing."""

import numpy as np
import pytest
import tensorflow as tf

from trainer.training.loss import loss_of


def test_smoothing_and_class_weights_follow_their_formulas():
    logits, labels = tf.constant([[2.0], [-1.0]]), tf.constant([[1.0], [0.0]])
    loss = loss_of(
        logits,
        labels,
        tf.constant([1.0, 0.5]),
        label_smoothing=0.2,
        class_weights=np.array([[3.0], [0.7]], "f"),
    )
    of = lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p))  # noqa: E731
    sick, healthy = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(1.0))
    expected = 0.7 * of(sick, 0.9) + 3.0 * 0.5 * of(healthy, 0.1)
    assert float(loss) == pytest.approx(expected, rel=1e-6)


def test_the_loss_of_exclusive_classes_follows_its_formula():
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0], [9.0, 9.0, 9.0]], "f")
    labels = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [-1.0, -1.0, -1.0]], "f")
    weights, of_class = np.array([1.0, 0.5, 1.0], "f"), np.array([3.0, 0.7, 1.0], "f")
    loss = loss_of(
        logits,
        labels,
        weights,
        label_smoothing=0.3,
        class_weights=np.stack([of_class, of_class]),
        exclusive=True,
    )
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    each = -(log_p * (0.7 * labels + 0.1)).sum(1)
    assert float(loss) == pytest.approx(0.7 * each[0] + 3.0 * 0.5 * each[1], rel=1e-6)


def test_a_label_that_is_not_known_moves_nothing():
    logits = tf.Variable([[2.0, -1.0], [0.5, 3.0]])
    labels, weights = tf.constant([[1.0, -1.0], [-1.0, 0.0]]), tf.constant([1.0, 0.5])
    with tf.GradientTape() as tape:
        loss = loss_of(
            logits,
            labels,
            weights,
            label_smoothing=0.0,
            class_weights=np.array([[1, 2], [3, 4]], "f"),
        )
    gradient = tape.gradient(loss, logits).numpy()
    assert gradient[0, 1] == gradient[1, 0] == 0
    # Half of each label's: the positive of the first weighs 3, the negative of the second 2.
    expected = 3 * np.log1p(np.exp(-2.0)) / 2 + 0.5 * 2 * np.log1p(np.exp(3.0)) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-6)
