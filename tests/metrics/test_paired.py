"""How far two runs differ on the same images."""

import numpy as np
import pytest

from trainer.metrics import paired
from trainer.metrics.label_result import LabelResult


def judged(probability, labels=None, patients=None):
    probability = np.asarray(probability)
    n = len(probability)
    labels = np.arange(n) % 2 if labels is None else np.asarray(labels)
    patients = [f"p{k // 2}" for k in range(n)] if patients is None else patients
    return LabelResult("ill", ["well", "ill"], labels, probability, patients, [], 1.0, "test")


@pytest.fixture
def noise():
    return np.random.default_rng(0)


def test_a_run_does_not_differ_from_itself(noise):
    one = [judged(noise.random(40))]

    assert paired.auc_difference(one, one) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_better_run_is_above_zero_and_the_other_way_round_below(noise):
    labels = np.arange(200) % 2
    good, bad = [judged(labels + noise.random(200))], [judged(noise.random(200))]

    better, worse = paired.auc_difference(bad, good), paired.auc_difference(good, bad)

    assert 0.3 < better["low"] < better["value"] < better["high"] < 0.7
    assert worse["value"] == pytest.approx(-better["value"])


def test_what_both_runs_share_narrows_the_interval(noise):
    hard = np.arange(400) % 2 + 2 * noise.normal(size=400)
    first, alike = [judged(hard)], [judged(hard + 0.1 * noise.normal(size=400))]
    unlike = [judged(np.arange(400) % 2 + 2 * noise.normal(size=400))]

    def width(other):
        of = paired.auc_difference(first, other)
        return of["high"] - of["low"]

    assert width(alike) < width(unlike) / 3


def test_several_labels_count_as_their_mean(noise):
    labels = np.arange(80) % 2
    flat = judged(np.full(80, 0.5))
    first, other = [flat, flat], [judged(labels.astype(float)), flat]

    assert paired.auc_difference(first, other)["value"] == pytest.approx(0.25)


def test_of_one_class_alone_it_is_not_defined(noise):
    one = [judged(noise.random(10), labels=np.ones(10, int))]

    assert paired.auc_difference(one, one) == {"value": None, "low": None, "high": None}


def test_other_labels_or_patients_are_not_alike(noise):
    scores = noise.random(10)
    first = [judged(scores)]

    assert paired.are_comparable(first, [judged(scores / 2)])
    assert not paired.are_comparable(first, [judged(scores, labels=np.ones(10, int))])
    assert not paired.are_comparable(first, [judged(scores, patients=list("abcdefghij"))])
    assert not paired.are_comparable(first, [judged(scores[:8])])
