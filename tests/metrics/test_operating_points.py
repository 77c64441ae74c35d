"""Validation chooses the thresholds and the temperatures."""

import numpy as np

from trainer.metrics import calibration, classification, operating_points
from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.metrics.scores import Scores

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(300) < 0.6
LOGITS = (RANDOM.normal(size=300) + 1.5 * LABELS).astype(np.float32)


def test_each_label_has_its_threshold_and_its_temperature():
    labels = np.stack([LABELS, ~LABELS], 1).astype(np.float32)
    logits = np.stack([LOGITS, 2 - LOGITS], 1)

    points = operating_points.choose(Scores(logits, labels, np.ones(300)))

    assert points.thresholds[HALF] == [0.5, 0.5]
    for k in range(2):
        probability = classification.probabilities(logits[:, k])
        best = operating_points.youden_threshold(labels[:, k], probability)
        assert points.thresholds[CHOSEN][k] == best
        assert points.temperatures[k] == calibration.temperature(logits[:, k], labels[:, k])


def test_the_threshold_has_the_largest_youden_index():
    probability = classification.probabilities(LOGITS)
    chosen = operating_points.youden_threshold(LABELS, probability)

    def index(threshold: float) -> float:
        predicted = probability >= threshold
        return predicted[LABELS].mean() + (~predicted)[~LABELS].mean()

    assert index(chosen) == max(index(threshold) for threshold in probability)
    assert chosen not in probability
    assert operating_points.youden_threshold(np.ones(300), probability) == 0.5
