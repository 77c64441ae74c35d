"""The difference of two runs is measured on the same resamples of the patients."""

import math

import numpy as np
import pytest

from trainer.metrics import measured, paired
from trainer.metrics.label_result import LabelResult
from trainer.metrics.operating_points import CHOSEN, HALF, OperatingPoints
from trainer.metrics.outputs import EXCLUSIVE
from trainer.metrics.predictions import Predictions
from trainer.metrics.scores import Scores


def result(probability, labels=None, patients=None):
    probability = np.asarray(probability)
    n = len(probability)
    labels = np.arange(n) % 2 if labels is None else np.asarray(labels)
    patients = [f"p{k // 2}" for k in range(n)] if patients is None else patients
    return LabelResult("ill", ["well", "ill"], labels, probability, patients, [], 1.0, "test")


@pytest.fixture
def noise():
    return np.random.default_rng(0)


def test_the_better_run_has_a_difference_above_zero(noise):
    labels = np.arange(200) % 2
    good, bad = [result(labels + noise.random(200))], [result(noise.random(200))]

    better, worse = paired.auc_difference(bad, good), paired.auc_difference(good, bad)

    assert 0.3 < better["low"] < better["value"] < better["high"] < 0.7
    assert worse["value"] == pytest.approx(-better["value"])


def test_similar_runs_have_a_narrow_interval(noise):
    hard = np.arange(400) % 2 + 2 * noise.normal(size=400)
    first, alike = [result(hard)], [result(hard + 0.1 * noise.normal(size=400))]
    unlike = [result(np.arange(400) % 2 + 2 * noise.normal(size=400))]

    def width(other):
        difference = paired.auc_difference(first, other)
        return difference["high"] - difference["low"]

    assert width(alike) < width(unlike) / 3


def test_several_labels_count_as_their_mean(noise):
    labels = np.arange(80) % 2
    flat = result(np.full(80, 0.5))
    first, other = [flat, flat], [result(labels.astype(float)), flat]

    assert paired.auc_difference(first, other)["value"] == pytest.approx(0.25)


def test_a_run_does_not_differ_from_itself_and_one_class_has_no_difference(noise):
    one, positive = [result(noise.random(40))], [result(noise.random(10), np.ones(10, int))]

    assert paired.auc_difference(one, one) == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert set(paired.auc_difference(positive, positive).values()) == {None}


def test_other_labels_or_patients_are_not_comparable(noise):
    scores = noise.random(10)
    first = [result(scores)]

    assert paired.are_comparable(first, [result(scores / 2)])
    assert not paired.are_comparable(first, [result(scores, labels=np.ones(10, int))])
    assert not paired.are_comparable(first, [result(scores, patients=list("abcdefghij"))])
    assert not paired.are_comparable(first, [result(scores[:8])])


def test_mcnemar_counts_what_one_alone_has_right():
    first = np.repeat([True, True, False, False], [50, 3, 12, 20])
    other = np.repeat([True, False, True, False], [50, 3, 12, 20])

    found = paired.mcnemar(first, other)

    tail = sum(math.comb(15, k) for k in range(4)) / 2**15
    assert (found["first_only"], found["other_only"]) == (3, 12)
    assert found["p"] == pytest.approx(2 * tail)
    assert paired.mcnemar(first, first)["p"] == 1


def test_decisions_for_the_likeliest_class_are_compared():
    random = np.random.default_rng(0)
    classes = random.integers(0, 3, 300)
    labels, patients = np.eye(3, dtype=np.float32)[classes], [f"p{i // 2}" for i in range(300)]
    points = OperatingPoints({HALF: [0.0] * 3, CHOSEN: [0.0] * 3}, [1.0])
    noise = random.normal(size=(300, 3))

    def of(outputs):
        scores = Scores(EXCLUSIVE.log_odds(outputs), labels, np.ones(300), EXCLUSIVE)
        predictions = Predictions("x", ["A", "B", "C"], [], patients, patients, scores)
        return measured.measure(predictions, points)

    worse, better = noise + labels, noise + 3 * labels
    found = paired.compare(of(worse), of(better))

    right = [outputs.argmax(1) == classes for outputs in (worse, better)]
    accuracy = found["figures"]["accuracy"]
    assert (accuracy["first"], accuracy["other"]) == pytest.approx([r.mean() for r in right])
    assert accuracy["value"] == pytest.approx(right[1].mean() - right[0].mean())
    assert 0 < accuracy["low"] < accuracy["value"] < accuracy["high"]
    balanced = np.mean([right[1][classes == k].mean() for k in range(3)])
    assert found["figures"]["balanced_accuracy"]["other"] == pytest.approx(balanced)
    assert found["mcnemar"] == paired.mcnemar(*right)


def test_every_figure_has_the_paired_difference_of_the_same_resamples():
    random = np.random.default_rng(0)
    labels = random.random(300) < 0.5
    patients = [f"p{i // 2}" for i in range(300)]
    points = OperatingPoints({HALF: [0.0], CHOSEN: [0.1]}, [1.0])
    noise = random.normal(size=300)

    def of(logits):
        scores = Scores(logits[:, None], labels[:, None].astype(np.float32), np.ones(300))
        return measured.measure(Predictions("x", ["SICK"], [], patients, patients, scores), points)

    first, better = of(noise + labels), of(noise + 2 * labels)
    found = paired.compare(first, better)["labels"]["SICK"]

    auc = found["figures"]["auc"]
    assert auc["value"] == pytest.approx(auc["other"] - auc["first"])
    assert auc["value"] == pytest.approx(found["delong"]["difference"])
    alone = first.figures["SICK"].whole["auc"][1:]
    assert auc["high"] - auc["low"] < np.ptp(np.quantile(alone, [0.025, 0.975]))  # it is paired
    assert found["figures"]["sensitivity"]["low"] > 0
    assert found["mcnemar"]["other_only"] > found["mcnemar"]["first_only"]
