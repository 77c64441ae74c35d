"""Exclusive classes are a softmax, and each of them is measured against the others together."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, roc_auc_score

from trainer.metrics import calibration, classification, operating_points
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores

NAMES = ["NORMAL", "BACTERIA", "VIRUS"]
RANDOM = np.random.default_rng(3)
CLASS = RANDOM.integers(0, 3, 400)
LOGITS = RANDOM.normal(size=(400, 3)) * 2 + 2 * np.eye(3)[CLASS]
LOGITS = ((8 * LOGITS).round() / 8).astype(np.float32)  # exact, so that there are ties


def scores_of(logits: np.ndarray, classes: np.ndarray) -> Scores:
    columns = [logits, np.eye(logits.shape[1])[classes], np.ones((len(logits), 1))]
    return Scores.from_columns(np.concatenate(columns, 1).astype(np.float32), EXCLUSIVE)


SCORES = scores_of(LOGITS, CLASS)
PROBABILITY = softmax(LOGITS.astype(np.float64), axis=1).round(12)


def test_the_sigmoid_of_the_log_odds_is_the_softmax():
    np.testing.assert_allclose(
        classification.probabilities(SCORES.logits), softmax(LOGITS, axis=1), atol=1e-7
    )
    extreme = np.array([[800.0, 0, -800], [0, 0, 0]], np.float32)
    np.testing.assert_allclose(EXCLUSIVE.log_odds(extreme)[0], [800, -800, -1600], rtol=1e-6)
    np.testing.assert_allclose(EXCLUSIVE.log_odds(extreme)[1], -np.log(2), rtol=1e-6)


def test_the_likeliest_class_is_decided_for_and_of_equal_ones_the_first():
    assert EXCLUSIVE.decide(np.array([[1.0, 1.0, 0.0], [-3.0, -2.0, -2.5]])).tolist() == [
        [True, False, False],
        [False, True, False],
    ]
    assert INDEPENDENT.decide(np.array([[0.0, -0.1, 2.0]])).tolist() == [[True, False, True]]


def test_the_metrics_of_an_epoch_agree_with_scikit_learn():
    measured = classification.measure_all(SCORES, NAMES)
    auc = roc_auc_score(CLASS, PROBABILITY, multi_class="ovr", average="macro")
    assert measured["auc"] == pytest.approx(auc, abs=1e-6)
    assert measured["loss"] == pytest.approx(log_loss(CLASS, PROBABILITY), rel=1e-5)
    assert measured["accuracy"] == pytest.approx((LOGITS.argmax(1) == CLASS).mean())
    for k, name in enumerate(NAMES):
        found = (LOGITS.argmax(1) == k)[k == CLASS].mean()
        assert measured["labels"][name]["sensitivity"] == pytest.approx(found)


def test_a_class_without_examples_is_left_out_of_the_mean():
    some = CLASS != 2
    scores = scores_of(LOGITS[some], CLASS[some])
    measured = classification.measure_all(scores, NAMES)
    assert measured["labels"]["VIRUS"]["auc"] is None
    both = [measured["labels"][name]["auc"] for name in NAMES[:2]]
    assert measured["auc"] == pytest.approx(np.mean(both))
    assert measured["accuracy"] == pytest.approx((LOGITS.argmax(1) == CLASS)[some].mean())


def test_the_one_temperature_is_that_with_the_least_cross_entropy():
    first, *others = calibration.temperatures(SCORES)
    assert others == [first, first]
    losses = {
        t: log_loss(CLASS, softmax(LOGITS.astype(float) / t, axis=1))
        for t in (0.98 * first, first, 1.02 * first)
    }
    assert min(losses, key=losses.get) == first
    calibrated = expit(EXCLUSIVE.calibrated(SCORES.logits, [2.5] * 3))
    np.testing.assert_allclose(calibrated, softmax(LOGITS / 2.5, axis=1), atol=1e-6)
    independent = INDEPENDENT.calibrated(LOGITS, [1.0, 2.0, 2.5])
    np.testing.assert_allclose(independent, LOGITS / [1, 2, 2.5], rtol=1e-6)
    assert calibration.temperatures(scores_of(LOGITS, np.zeros(400, int))) == [1.0] * 3


def test_balanced_weights_let_each_class_count_as_much():
    counts = np.array([[10, 50], [30, 30], [20, 40], [0, 60]])
    positive = EXCLUSIVE.balanced_weights(counts)[1]
    np.testing.assert_allclose(positive[:3] * [10, 30, 20], 60 / 4)
    assert np.isfinite(positive).all()


def test_the_evaluation_has_calibration_and_curves_of_each_class():
    points = operating_points.choose(SCORES)
    images = [str(n) for n in range(400)]
    predictions = Predictions("test", NAMES, [], images, images, SCORES)
    result = predictions.evaluate(points, epoch=1, step=1, seed=0)
    assert result["exclusive"] is True
    assert result["loss"] == pytest.approx(log_loss(CLASS, PROBABILITY), rel=1e-5)
    low, value, high = (result["auc"][end] for end in ("low", "value", "high"))
    assert low < value < high
    for k, name in enumerate(NAMES):
        label, virus = result["labels"][name], k == CLASS
        assert label["auc"]["value"] == pytest.approx(roc_auc_score(virus, PROBABILITY[:, k]))
        after = softmax(LOGITS / points.temperatures[0], axis=1)[:, k]
        assert label["calibration"]["after"]["brier"] == pytest.approx(
            np.mean((after - virus) ** 2), rel=1e-4
        )
        assert [p["name"] for p in label["operating_points"]] == list(points.thresholds)
