"""The shares of the classes are found without labels, and decisions follow them."""

import numpy as np
import pytest

from trainer.metrics import prior_shift

# A test that is positive in 80 % of the ill and 30 % of the healthy, calibrated where half are ill.
POSITIVE, NEGATIVE = 0.8 / 1.1, 0.2 / 0.9
HALVES = np.array([0.5, 0.5])


def answers(positive: int, negative: int) -> np.ndarray:
    ill = np.repeat([POSITIVE, NEGATIVE], [positive, negative])
    return np.stack([1 - ill, ill], 1)


def test_the_share_is_that_which_gives_as_many_positive_tests():
    # 35 of 100 are positive: 0.3 + 0.5 q = 0.35, of which q = 0.1 is the only solution.
    shares = prior_shift.estimate(answers(35, 65), HALVES)
    assert shares == pytest.approx([0.9, 0.1], abs=1e-5)
    # By Bayes with that share: 0.08 / (0.08 + 0.27), and 0.02 / (0.02 + 0.63).
    corrected = prior_shift.corrected(answers(1, 1), HALVES, shares)
    assert corrected[:, 1] == pytest.approx([0.08 / 0.35, 0.02 / 0.65], abs=1e-5)


def test_one_step_is_the_mean_of_the_probabilities(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prior_shift, "STEPS", 1)
    probability = np.random.default_rng(0).dirichlet([1, 2, 3], 50)
    found = prior_shift.estimate(probability, np.array([0.2, 0.3, 0.5]))
    assert found == pytest.approx(probability.mean(0))


def test_two_classes_have_the_share_at_which_a_step_changes_nothing():
    probability = np.random.default_rng(0).dirichlet([3, 2], 400)
    shares = prior_shift.estimate(probability, HALVES)
    assert 0.01 < shares[1] < 0.1
    step = prior_shift.corrected(probability, HALVES, shares).mean(0)
    assert step == pytest.approx(shares, abs=1e-9)


def test_where_the_shares_are_those_assumed_nothing_changes():
    probability = np.random.default_rng(0).dirichlet([1, 2, 3], 500)
    assumed = probability.mean(0)
    shares = prior_shift.estimate(probability, assumed)
    assert shares == pytest.approx(assumed, abs=1e-5)
    assert prior_shift.corrected(probability, assumed, shares) == pytest.approx(
        probability, abs=1e-4
    )


def test_classes_of_other_shares_are_found_as_they_were_drawn():
    random, means = np.random.default_rng(0), np.array([[0, 0], [3, 0], [0, 3]])
    true = np.array([0.7, 0.1, 0.2])
    drawn = random.choice(3, 4000, p=true)
    points = means[drawn] + random.normal(size=(4000, 2))
    likelihood = np.exp(-((points[:, None] - means) ** 2).sum(2) / 2)
    equal = likelihood / likelihood.sum(1, keepdims=True)
    shares = prior_shift.estimate(equal, np.full(3, 1 / 3))
    assert shares == pytest.approx(np.bincount(drawn) / 4000, abs=0.02)


def test_a_share_of_none_is_half_an_example():
    shares = prior_shift.estimate(answers(0, 50), HALVES)
    assert 0 < shares[1] < 0.011
