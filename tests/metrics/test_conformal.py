"""Conformal sets reach their coverage in each class, and hold what they must."""

import numpy as np
import pytest

from trainer.metrics.conformal import ConformalSets
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT
from trainer.metrics.scores import Scores


def scores(logits, labels, outputs=INDEPENDENT):
    logits, labels = np.asarray(logits, np.float32), np.asarray(labels, np.float32)
    return Scores(logits, labels, np.ones(len(logits), np.float32), outputs)


def draw(count, seed, separation=1.0):
    random = np.random.default_rng(seed)
    labels = (random.random((count, 1)) < 0.1).astype(np.float32)
    return scores(random.normal(separation * (2 * labels - 1)), labels)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_each_class_is_covered_as_stated_also_the_rare_one(coverage):
    reached = [
        ConformalSets.calibrate(draw(400, 2 * seed), coverage).reached(draw(4000, 2 * seed + 1))
        for seed in range(60)
    ]

    mean = np.mean(reached, axis=0)
    assert (mean > coverage - 0.01).all() and (mean < coverage + 0.04).all()


def test_the_limit_is_the_order_statistic_of_the_class():
    """Of nine positives and a coverage of 0.8 the second lowest: (9 + 1) * 0.2 = 2."""
    logits = [[float(n)] for n in range(1, 10)] + [[-1.0]] * 3

    sets = ConformalSets.calibrate(scores(logits, [[1.0]] * 9 + [[0.0]] * 3), 0.8)

    assert sets.least[1, 0] == 2.0
    assert sets.least[0, 0] == -np.inf  # three negatives cannot give 0.8


def test_sets_hold_one_class_both_or_none():
    sets = ConformalSets(0.9, np.array([[-1.0], [0.5]]), INDEPENDENT)

    names = sets.names(np.array([[-2.0], [0.7], [2.0]]), ["P"], ["N", "P"])

    assert names == [["N"], ["N", "P"], ["P"]]
    assert ConformalSets(0.9, np.array([[1.0], [1.0]]), INDEPENDENT).names(
        np.zeros((1, 1)), ["P"]
    ) == [[]]
    assert sets.names(np.array([[-2.0], [2.0]]), ["P"]) == [["no P"], ["P"]]


def test_of_exclusive_classes_a_set_holds_those_that_are_likely_enough():
    logits = np.array([[3.0, -3, -4], [0.5, 0.2, -3], [-9, -9, -9]], np.float32)
    sets = ConformalSets(0.9, np.stack([np.full(3, -np.inf), np.zeros(3)]), EXCLUSIVE)

    assert sets.names(logits, ["A", "B", "C"]) == [["A"], ["A", "B"], []]


def test_unknown_labels_count_for_neither_side():
    known = scores([[1.0], [-1.0], [5.0]], [[1.0], [0.0], [-1.0]])

    reached = ConformalSets.calibrate(known, 0.5).reached(known)

    assert reached.tolist() == [[1.0], [1.0]]
    assert np.isnan(ConformalSets.calibrate(known, 0.5).reached(scores([[1.0]], [[1.0]]))[0, 0])
