"""Metrics are exact, over all examples, and their intervals respect patients."""

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from trainer.metrics import classification
from trainer.metrics.scores import Scores

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(300) < 0.6
LOGITS = (RANDOM.normal(size=300) + 1.5 * LABELS).astype(np.float32)
PATIENTS = [f"p{i // 3}" for i in range(300)]


def scores(labels: np.ndarray, probability: np.ndarray) -> Scores:
    """Scores of these probabilities, [n] or [n, K]."""
    n = len(labels)
    return Scores(logit(probability.reshape(n, -1)), labels.reshape(n, -1).astype(int), np.ones(n))


def evaluate(labels: np.ndarray, probability: np.ndarray, patients: list[str]) -> dict:
    """The evaluation of one label at probability 0.5."""
    given = scores(labels, probability)
    result = classification.evaluate(given, patients, names=["sick"], thresholds={"half": [0.0]})
    label = result["labels"]["sick"]
    assert all(result[area] == label[area] for area in ("auc", "average_precision"))
    return label


def test_metrics_agree_with_scikit_learn():
    measured = classification.measure(LOGITS, LABELS)
    probability = classification.probabilities(LOGITS)
    assert measured["auc"] == pytest.approx(roc_auc_score(LABELS, probability))
    expected = average_precision_score(LABELS, probability)
    assert measured["average_precision"] == pytest.approx(expected)
    assert measured["loss"] == pytest.approx(log_loss(LABELS, probability))
    assert measured["accuracy"] == np.mean((probability >= 0.5) == LABELS)
    assert measured["sensitivity"] == np.mean(probability[LABELS] >= 0.5)
    assert measured["specificity"] == np.mean(probability[~LABELS] < 0.5)


def test_padding_does_not_count():
    padded = Scores(
        np.append(LOGITS, [9.0, 9.0])[:, None],
        np.append(LABELS, [0.0, 0.0])[:, None],
        np.append(np.ones(300), [0, 0]),
    )
    assert classification.measure_all(padded, ["sick"]) == classification.measure(LOGITS, LABELS)


def test_a_label_is_measured_on_the_images_for_which_it_is_known():
    unknown = RANDOM.random(300) < 0.3
    labels = np.stack([np.where(unknown, -1, LABELS), ~LABELS, np.full(300, -1)], 1)
    scores = Scores(np.stack([LOGITS, LOGITS, LOGITS], 1), labels.astype("f"), np.ones(300))
    measured = classification.measure_all(scores, ["a", "b", "never"])
    assert measured["labels"]["a"] == classification.measure(LOGITS[~unknown], LABELS[~unknown])
    assert measured["labels"]["b"]["auc"] == pytest.approx(
        1 - classification.measure(LOGITS, LABELS)["auc"]
    )
    assert set(measured["labels"]["never"].values()) == {None}
    aucs = [measured["labels"][name]["auc"] for name in "ab"]
    assert measured["auc"] == pytest.approx(np.mean(aucs))


def test_undefined_metrics_are_none():
    measured = classification.measure(LOGITS[:3], np.ones(3))
    assert measured["auc"] is None and measured["average_precision"] is None
    assert measured["specificity"] is None
    assert measured["sensitivity"] is not None


def test_intervals_contain_the_values_of_scikit_learn():
    probability = np.round(classification.probabilities(LOGITS), 2)  # with ties
    result = evaluate(LABELS, probability, PATIENTS)
    for area, expected in (("auc", roc_auc_score), ("average_precision", average_precision_score)):
        found = result[area]
        assert found["value"] == pytest.approx(expected(LABELS, probability))
        assert found["low"] < found["value"] < found["high"]
    (point,) = result["operating_points"]
    (tn, fp), (fn, tp) = point["confusion"]
    assert tn + fp + fn + tp == 300
    assert point["accuracy"]["value"] == pytest.approx((tn + tp) / 300)
    assert point["sensitivity"]["value"] == pytest.approx(tp / (tp + fn))
    assert point["specificity"]["value"] == pytest.approx(tn / (tn + fp))


def test_too_few_patients_give_no_certainty():
    logits = np.array([[2.0], [1.0], [-1.0], [-2.0], [-3.0]], np.float32)
    labels = np.array([[1.0], [1.0], [0.0], [0.0], [0.0]], np.float32)
    result = classification.evaluate(
        Scores(logits, labels, np.ones(5, np.float32)),
        ["one", "one", "two", "three", "four"],
        names=["sick"],
        thresholds={"at 0.5": [0.0]},
    )["labels"]["sick"]
    assert result["auc"] == {"value": 1.0, "low": None, "high": None}
    (point,) = result["operating_points"]
    for rate, patients in {"sensitivity": 1, "specificity": 3, "accuracy": 4}.items():
        low = patients / (patients + 1.959964**2)  # Wilson (1927), where all are hits
        assert point[rate] == pytest.approx({"value": 1.0, "low": low, "high": 1.0})


def test_images_of_one_patient_are_not_independent_examples():
    def width(patients: list[str]) -> float:
        repeated = [np.repeat(a[:100], 3) for a in (LABELS, classification.probabilities(LOGITS))]
        auc = evaluate(*repeated, patients)["auc"]
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
        interval = evaluate(labels, probability, patients)
        accuracy = interval["operating_points"][0]["accuracy"]
        covered += accuracy["low"] <= 0.8 <= accuracy["high"]
    assert 88 <= covered <= 100


def test_labels_are_evaluated_separately_and_together_by_their_mean():
    probability = classification.probabilities(LOGITS)
    unknown = np.arange(300) % 5 == 0
    labels = np.stack([LABELS, np.where(unknown, -1, LABELS), np.ones(300)], 1)
    given = scores(labels, np.stack([probability] * 3, 1))
    result = classification.evaluate(
        given, PATIENTS, names="abc", thresholds={"p": [0.0, -0.4, -0.8]}
    )
    a, b, c = result["labels"].values()
    assert a == evaluate(LABELS, probability, PATIENTS) | {
        "operating_points": a["operating_points"]
    }
    assert (b["positive"], b["negative"]) == (LABELS[~unknown].sum(), (~LABELS[~unknown]).sum())
    assert b["auc"]["value"] == pytest.approx(
        roc_auc_score(LABELS[~unknown], probability[~unknown])
    )
    assert b["operating_points"][0]["logit"] == -0.4
    assert b["operating_points"][0]["threshold"] == pytest.approx(1 / (1 + np.exp(0.4)))
    assert c["auc"]["value"] is None and c["operating_points"][0]["specificity"]["value"] is None
    for area in ("auc", "average_precision"):
        mean = result[area]
        assert mean["value"] == pytest.approx((a[area]["value"] + b[area]["value"]) / 2)
        assert mean["low"] < mean["value"] < mean["high"] and c[area]["value"] is None


@pytest.mark.parametrize("shift", [0, 50, -50])
def test_examples_are_ranked_where_probabilities_round_to_1_or_0(shift: float):
    given = Scores(LOGITS[:, None] + np.float32(shift), LABELS[:, None], np.ones(300))
    label = classification.evaluate(
        given, PATIENTS, names=["sick"], thresholds={"shifted": [float(shift)]}
    )["labels"]["sick"]
    assert label["auc"]["value"] == pytest.approx(roc_auc_score(LABELS, LOGITS), abs=1e-4)
    accuracy = label["operating_points"][0]["accuracy"]["value"]
    assert accuracy == pytest.approx(np.mean((LOGITS >= 0) == LABELS), abs=0.01)
