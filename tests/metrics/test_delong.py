"""DeLong's test gives R's numbers, and those of the definition."""

import numpy as np
import pytest
from scipy.stats import norm

from trainer.metrics import delong

# pROC's example aSAH: 72 patients with a good outcome, then 41 with a poor one. Of each the scale
# wfns, and the place of the marker s100b in its order, from the placements that pROC's tests have.
WFNS = list(
    "111151221221112121134141551124112212122111121211324214115422111312244111"
    "32455552521254425552525245441442255225555"
)
S100B = list(
    "ijfbAmffbdbegcmcgimbljueDAlcyAgdedbifjkbbebedledtgqcfscbowfkdjfcbmkAmkDB"
    "iflhzECctecxvBEpEEEcEraenEpEdpifgnEjEsEEz"
)
POOR = np.arange(113) >= 72
# What pROC tells of it, as in its own tests: ci(r.wfns), and roc.test(r.wfns, r.s100b).
LOW, AUC, HIGH = 0.748534887819453, 0.823678861788618, 0.898822835757783
Z, P = 2.20898359144091, 0.0271757822291882
LEAST, MOST = 0.0104061769564846, 0.174214419249478


def ranks(marks):
    """The places of letters and digits in the order 0-9, a-z, A-Z."""
    return np.array([ord(mark) - 200 * mark.isdigit() + 100 * mark.isupper() for mark in marks])


def directly(positive, scores):
    """The covariance by its definition: every positive against every negative."""
    cases, controls = scores[:, positive], scores[:, ~positive]
    wins = (cases[:, :, None] > controls[:, None]) + 0.5 * (cases[:, :, None] == controls[:, None])
    m, n = wins.shape[1:]
    return wins.mean((1, 2)), np.cov(wins.mean(2)) / m + np.cov(wins.mean(1)) / n


def test_interval_is_that_of_the_r_package_on_its_example():
    (auc,), ((variance,),) = delong.covariance(POOR, [ranks(WFNS)])

    half = norm.ppf(0.975) * np.sqrt(variance)
    assert (auc - half, auc, auc + half) == pytest.approx((LOW, AUC, HIGH), abs=1e-12)


def test_difference_is_that_of_the_r_package_on_its_example():
    found = delong.test(POOR, ranks(S100B), ranks(WFNS))

    assert found.other == pytest.approx(AUC, abs=1e-12)
    assert (found.low, found.high, found.p) == pytest.approx((LEAST, MOST, P), abs=1e-12)
    assert norm.isf(found.p / 2) == pytest.approx(Z)


@pytest.mark.parametrize("digits", [9, 0], ids=["distinct", "ties"])
def test_ranks_give_the_covariance_of_all_pairs(digits):
    random = np.random.default_rng(0)
    positive = random.random(80) < 0.4
    scores = (random.normal(size=(3, 80)) + positive).round(digits)

    auc, matrix = delong.covariance(positive, list(scores))

    expected, expected_matrix = directly(positive, scores)
    np.testing.assert_allclose(auc, expected)
    np.testing.assert_allclose(matrix, expected_matrix, atol=1e-15)


def test_difference_has_the_interval_and_the_p_value_of_its_variance():
    random = np.random.default_rng(1)
    positive = random.random(300) < 0.5
    scores = random.normal(size=(2, 300)) + [[0.5], [1.5]] * positive

    found = delong.test(positive, *scores)

    auc, matrix = directly(positive, scores)
    error = np.sqrt(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])
    assert found.difference == pytest.approx(auc[1] - auc[0])
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error, rel=1e-6)
    assert found.p == pytest.approx(2 * norm.sf(found.difference / error))
    assert found.p < 0.001


def test_scores_that_rank_alike_do_not_differ():
    positive = np.arange(10) % 2 == 0
    found = delong.test(positive, np.arange(10.0), np.arange(10.0) * 2)
    assert (found.difference, found.p) == (0, 1)


@pytest.mark.parametrize("positives", [0, 1])
def test_fewer_than_two_of_a_class_leave_it_undefined(positives):
    positive = np.arange(5) < positives
    assert np.isnan(delong.test(positive, np.arange(5.0), -np.arange(5.0))).all()
