"""Metrics are exact, over all examples, and their intervals respect patients."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from trainer import metrics
from trainer.step import Scores

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(300) < 0.6
LOGITS = (RANDOM.normal(size=300) + 1.5 * LABELS).astype(np.float32)
PATIENTS = [f"p{i // 3}" for i in range(300)]


def test_metrics_agree_with_scikit_learn():
    scores = Scores(LOGITS, LABELS.astype(np.float32), np.ones(300))
    measured = metrics.measure(scores)
    probability = metrics.probabilities(LOGITS)
    assert measured["auc"] == pytest.approx(roc_auc_score(LABELS, probability))
    assert measured["loss"] == pytest.approx(log_loss(LABELS, probability))
    assert measured["accuracy"] == np.mean((probability >= 0.5) == LABELS)
    assert measured["sensitivity"] == np.mean(probability[LABELS] >= 0.5)
    assert measured["specificity"] == np.mean(probability[~LABELS] < 0.5)


def test_rows_that_fill_up_a_batch_do_not_count():
    padded = Scores(
        np.append(LOGITS, [9.0, 9.0]),
        np.append(LABELS, [0.0, 0.0]),
        np.append(np.ones(300), [0, 0]),
    )
    whole = Scores(LOGITS, LABELS.astype(np.float32), np.ones(300))
    assert metrics.measure(padded) == metrics.measure(whole)


def test_what_is_not_defined_is_none():
    measured = metrics.measure(Scores(LOGITS[:3], np.ones(3), np.ones(3)))
    assert measured["auc"] is None and measured["specificity"] is None
    assert measured["sensitivity"] is not None


def test_the_threshold_has_the_largest_youden_index():
    probability = metrics.probabilities(LOGITS)
    chosen = metrics.youden_threshold(LABELS, probability)

    def index(threshold: float) -> float:
        called = probability >= threshold
        return called[LABELS].mean() + (~called)[~LABELS].mean()

    assert index(chosen) == pytest.approx(max(index(t) for t in np.linspace(0, 1, 2001)), abs=0.01)
    assert index(chosen) >= max(index(t) for t in probability) - 1e-12
    assert chosen not in probability


def test_evaluation_agrees_with_scikit_learn_and_holds_its_value():
    probability = np.round(metrics.probabilities(LOGITS), 2)  # with ties
    result = metrics.evaluate(LABELS, probability, PATIENTS, {"half": 0.5})
    auc = result["auc"]
    assert auc["value"] == pytest.approx(roc_auc_score(LABELS, probability))
    assert auc["low"] < auc["value"] < auc["high"]
    (point,) = result["operating_points"]
    (tn, fp), (fn, tp) = point["confusion"]
    assert tn + fp + fn + tp == 300
    assert point["accuracy"]["value"] == pytest.approx((tn + tp) / 300)
    assert point["sensitivity"]["value"] == pytest.approx(tp / (tp + fn))
    assert point["specificity"]["value"] == pytest.approx(tn / (tn + fp))


def test_images_of_one_patient_are_no_independent_examples():
    def width(patients: list[str]) -> float:
        repeated = [np.repeat(a[:100], 3) for a in (LABELS, metrics.probabilities(LOGITS))]
        auc = metrics.evaluate(*repeated, patients, {})["auc"]
        return auc["high"] - auc["low"]

    assert width(PATIENTS) > 1.4 * width([f"p{i}" for i in range(300)])


def test_intervals_cover_the_truth_as_often_as_they_say():
    covered = 0
    for trial in range(100):
        random = np.random.default_rng(trial)
        labels = random.random(80) < 0.5
        correct = random.random(80) < 0.8
        probability = np.where(labels == correct, 0.9, 0.1)
        patients = [str(i) for i in range(80)]
        interval = metrics.evaluate(labels, probability, patients, {"half": 0.5})
        accuracy = interval["operating_points"][0]["accuracy"]
        covered += accuracy["low"] <= 0.8 <= accuracy["high"]
    assert 88 <= covered <= 100
