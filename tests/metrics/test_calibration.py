"""A temperature calibrates probabilities, and the error measures how far they are off."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss

from trainer.metrics import calibration

RANDOM = np.random.default_rng(0)
LOGITS = 2 * RANDOM.normal(size=40_000)
LABELS = (RANDOM.random(40_000) < expit(LOGITS)).astype(np.float32)  # calibrated by their making


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_the_factor_by_which_logits_are_too_large(factor: float):
    assert calibration.temperature(factor * LOGITS, LABELS) == pytest.approx(factor, rel=0.05)


def test_no_other_temperature_has_less_loss():
    logits, labels = 3 * LOGITS[:500], LABELS[:500]
    found = calibration.temperature(logits, labels)
    losses = [log_loss(labels, expit(logits / t)) for t in np.geomspace(0.1, 10, 200)]
    assert log_loss(labels, expit(logits / found)) <= min(losses) + 1e-6


def test_unknown_labels_do_not_count():
    some = np.arange(40_000) % 3 == 0
    logits, labels = np.where(some, 50, 2 * LOGITS), np.where(some, -1, LABELS)
    expected = calibration.temperature(2 * LOGITS[~some], LABELS[~some])
    assert calibration.temperature(logits, labels) == expected
    assert calibration.measure(logits, labels) == calibration.measure(
        2 * LOGITS[~some], LABELS[~some]
    )
    assert set(calibration.measure(np.zeros(3), -np.ones(3)).values()) == {None}


def test_the_temperature_is_1_for_one_class_and_bounded_for_separable_examples():
    for labels in (np.ones(5), np.zeros(5), -np.ones(5), np.zeros(0)):
        assert calibration.temperature(np.linspace(-1, 1, len(labels)), labels) == 1
    logits = np.array([-2.0, -1.0, 1.0, 2.0])
    assert calibration.temperature(logits, logits > 0) == pytest.approx(0.1, rel=1e-3)


def test_the_error_is_the_weighted_distance_of_the_bins():
    error = calibration.expected_calibration_error
    probability, labels = np.array([0.12, 0.18, 0.95, 1.0]), np.array([0, 1, 1, 1])
    expected = 0.5 * abs(0.15 - 0.5) + 0.5 * abs(0.975 - 1)
    assert error(probability, labels) == pytest.approx(expected)
    assert error(np.array([1.0, 1.0, 0.0]), np.array([0, 0, 1])) == 1
    assert error(expit(LOGITS), LABELS) < 0.01 and error(expit(4 * LOGITS), LABELS) > 0.1


def test_bins_have_wilson_intervals_and_empty_ones_are_left_out():
    bins = calibration.reliability(np.full(10, 0.55), np.arange(10) < 3)
    assert bins.count.tolist() == [10] and bins.observed.tolist() == [0.3]
    # Newcombe, Statistics in Medicine 17:857 (1998), method 3, gives such for 3 of 10.
    assert (bins.low[0], bins.high[0]) == pytest.approx((0.1078, 0.6032), abs=1e-4)
    none = calibration.reliability(np.full(10, 0.55), np.zeros(10))
    assert none.low[0] == pytest.approx(0, abs=1e-12) and none.high[0] > 0.2


def test_measures_agree_with_scikit_learn_and_improve_with_the_temperature():
    logits = 3 * LOGITS
    found = calibration.temperature(logits, LABELS)
    change = calibration.before_and_after(logits, logits / found, LABELS, temperature=found)
    probability = expit(logits)
    assert change["before"]["brier"] == pytest.approx(brier_score_loss(LABELS, probability))
    assert change["before"]["loss"] == pytest.approx(log_loss(LABELS, probability))
    assert all(change["after"][name] < change["before"][name] for name in ("ece", "brier", "loss"))
