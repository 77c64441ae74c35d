"""The loss follows its formulas, and a label that is not known moves nothing."""

import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.config.schema import default
from trainer.system.errors import UsageError
from trainer.training.loss import elements_of, loss_of


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


LOGITS = np.array([[2.0, -1.0, 0.3], [-4.0, 5.0, 0.0]], np.float32)
LABELS = np.array([[1.0, 0.0, -1.0], [0.3, 0.0, 1.0]], np.float32)  # unknown, and a share
P = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
SHIFTED = np.maximum(P - 0.2, 0)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
NAMED = {  # the loss of a positive label, and of a negative one, by their papers
    "binary": (-np.log(P), -np.log(1 - P)),
    "focal": (-((1 - P) ** 1.5) * np.log(P), -(P**1.5) * np.log(1 - P)),
    "asymmetric": (-(1 - P) * np.log(P), -(SHIFTED**3) * np.log(1 - SHIFTED)),
    "OWN": ((LOGITS - 1) ** 2, LOGITS**2),
}
OWN = """
import tensorflow as tf
def brier(labels, logits): return labels * (logits - 1) ** 2 + (1 - labels) * logits ** 2
def mean(labels, logits): return tf.reduce_mean(logits, axis=-1)
def fails(labels, logits): return labels @ logits
def infinite(labels, logits): return logits / (1 - labels)
def constant(labels, logits): return labels + tf.stop_gradient(logits)
def steps(labels, logits): return tf.round(logits)
def together(labels, logits): return (logits - labels) ** 2 + tf.reduce_mean(logits)
def hinge(labels, logits): return tf.nn.relu(1 - logits * (2 * labels - 1))
def log_loss(labels, logits):
    return -labels * tf.nn.log_softmax(logits) / tf.reduce_sum(labels, 1, keepdims=True)
def numpy(labels, logits): return (logits.numpy() - labels) ** 2
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("own") / "losses.py"
    file.write_text(OWN)
    return str(file)


def fields(name: str) -> ConfigDict:
    config = default().loss
    config.name, config.gamma, config.margin = name, 1.5, 0.2
    config.gamma_positive, config.gamma_negative = 1.0, 3.0
    return config


@pytest.mark.parametrize("name", NAMED)
def test_losses_follow_their_papers_with_weights_smoothing_and_unknown_labels(name: str, own: str):
    class_weights = np.array([[3, 1, 2], [0.7, 2, 1]], np.float32)
    elements = elements_of(fields(name.replace("OWN", f"{own}:brier")), 3)
    loss = loss_of(
        LOGITS,
        LABELS,
        tf.constant([1.0, 0.5]),
        label_smoothing=0.2,
        class_weights=class_weights,
        elements=elements,
    )
    positive, negative = NAMED[name]
    smooth = 0.8 * LABELS + 0.1
    each = smooth * positive + (1 - smooth) * negative
    each *= LABELS * class_weights[1] + (1 - LABELS) * class_weights[0]
    expected = (np.where(LABELS >= 0, each, 0).sum(1) @ [1.0, 0.5]) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_of_exclusive_classes_follows_its_formula():
    labels = np.array([[0, 1, 0], [0.25, 0, 0.75]], np.float32)
    loss = loss_of(
        LOGITS,
        labels,
        tf.constant([1.0, 0.5]),
        exclusive=True,
        elements=elements_of(fields("focal"), 3, exclusive=True),
    )
    each = -(labels * (1 - SOFTMAX) ** 1.5 * np.log(SOFTMAX)).sum(1)
    assert float(loss) == pytest.approx(each @ [1.0, 0.5], rel=1e-5)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("name", ["focal", "asymmetric"])
def test_outputs_of_any_size_have_a_finite_gradient(name: str, exclusive: bool):
    config = fields(name)
    config.gamma = config.gamma_positive = 0.0
    config.gamma_negative, config.margin = 0.5, 0.0
    logits = tf.Variable([[200.0, -200.0], [-200.0, 200.0], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = loss_of(
            logits,
            tf.constant([[1.0, 0.0]] * 3),
            tf.ones(3),
            exclusive=exclusive,
            elements=elements_of(config, 2, exclusive=exclusive),
        )
    assert np.isfinite(loss) and np.isfinite(tape.gradient(loss, logits)).all()


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("mean", r"returns float32 of shape \[8\] for \[8, 3\]: it gets \(labels, logits\)"),
        ("fails", "fails .*: it gets"),
        ("numpy", "fails .*numpy.*: it gets"),
        ("infinite", "has no finite value and gradient"),
        ("constant", "has no gradient by the logits"),
        ("steps", "has no gradient by the logits"),
        ("together", "gives an image another loss where others lie beside it"),
    ],
)
def test_a_loss_that_is_not_one_for_each_image_and_label_is_refused(
    own: str, function: str, sentence: str
):
    with pytest.raises(UsageError, match=sentence):
        elements_of(fields(f"{own}:{function}"), 3)


@pytest.mark.parametrize(("function", "exclusive"), [("hinge", False), ("log_loss", True)])
def test_a_loss_that_is_flat_for_some_or_needs_a_class_is_taken(
    own: str, function: str, exclusive: bool
):
    assert elements_of(fields(f"{own}:{function}"), 3, exclusive=exclusive) is not None
