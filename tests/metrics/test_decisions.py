"""The rates of a decision among classes are those of its confusion matrix."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

from trainer.metrics import decisions
from trainer.metrics.bootstrap import Resamples
from trainer.metrics.outputs import EXCLUSIVE
from trainer.metrics.scores import Scores

RANDOM = np.random.default_rng(5)
ACTUAL = RANDOM.integers(0, 3, 120)
LOGITS = (RANDOM.normal(size=(120, 3)) + np.eye(3)[ACTUAL]).astype(np.float32)
PATIENTS = [str(n // 2) for n in range(120)]


def measure(labels: np.ndarray, patients: list[str] = PATIENTS) -> tuple:
    scores = Scores(LOGITS[: len(labels)], labels, np.ones(len(labels)), EXCLUSIVE)
    return decisions.measure(scores, Resamples(patients, 0))


def test_rates_agree_with_scikit_learn():
    whole, each = measure(np.eye(3)[ACTUAL])
    predicted = LOGITS.argmax(1)
    assert whole["confusion"] == confusion_matrix(ACTUAL, predicted).tolist()
    assert whole["accuracy"]["value"] == pytest.approx(accuracy_score(ACTUAL, predicted))
    expected = balanced_accuracy_score(ACTUAL, predicted)
    assert whole["balanced_accuracy"]["value"] == pytest.approx(expected)
    for k, rates in enumerate(each):
        for positive, name in ((1, "sensitivity"), (0, "specificity")):
            expected = recall_score(k == ACTUAL, predicted == k, pos_label=positive)
            assert rates[name]["value"] == pytest.approx(expected)
            assert rates[name]["low"] <= expected <= rates[name]["high"]


def test_a_class_without_images_and_an_image_without_a_class_are_left_out():
    labels = np.eye(3)[np.minimum(ACTUAL, 1)]
    labels[:20] = -1
    whole, each = measure(labels)
    assert np.sum(whole["confusion"]) == 100 and sum(whole["confusion"][2]) == 0
    assert each[2]["sensitivity"]["value"] is None
    defined = [rates["sensitivity"]["value"] for rates in each[:2]]
    assert whole["balanced_accuracy"]["value"] == pytest.approx(np.mean(defined))
