"""Validation chooses the thresholds and the temperatures."""

import numpy as np
import pytest
from scipy.special import expit

from trainer.metrics import calibration, operating_points
from trainer.metrics.operating_points import CHOSEN, HALF
from trainer.metrics.scores import Scores

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(300) < 0.6
LOGITS = (RANDOM.normal(size=300) + 1.5 * LABELS).astype(np.float32)


def test_each_label_has_its_threshold_and_its_temperature():
    labels = np.stack([LABELS, ~LABELS], 1).astype(np.float32)
    logits = np.stack([LOGITS, 2 - LOGITS], 1)

    points = operating_points.choose(Scores(logits, labels, np.ones(300)))

    assert points.thresholds[HALF] == [0.0, 0.0]
    for k in range(2):
        best = operating_points.youden_threshold(logits[:, k], labels[:, k])
        assert points.thresholds[CHOSEN][k] == best
        assert points.temperatures[k] == calibration.temperature(logits[:, k], labels[:, k])


def test_the_threshold_is_that_of_augmented_images_where_there_are_some():
    plain = Scores(LOGITS[:, None], LABELS[:, None].astype(np.float32), np.ones(300))
    augmented = plain._replace(logits=plain.logits + 2)
    points, of_augmented = (
        operating_points.choose(plain, augmented),
        operating_points.choose(augmented),
    )
    assert points.thresholds == of_augmented.thresholds
    assert points.thresholds != operating_points.choose(plain).thresholds
    assert points.temperatures == operating_points.choose(plain).temperatures


@pytest.mark.parametrize("shift", [0, 50, -50], ids=["", "where all round to 1", "or to 0"])
def test_the_threshold_has_the_largest_youden_index(shift: float):
    logits = LOGITS + np.float32(shift)
    chosen = operating_points.youden_threshold(logits, LABELS)

    def index(threshold: float) -> float:
        predicted = logits.astype(float) >= threshold
        return predicted[LABELS].mean() + (~predicted)[~LABELS].mean()

    assert index(chosen) == max(index(threshold) for threshold in logits)
    assert chosen not in logits
    assert operating_points.youden_threshold(logits, np.ones(300)) == 0


def test_the_threshold_is_halfway_between_two_probabilities():
    labels = np.array([0, 0, 1, 1])
    for logits in ([-2.0, -1.0, 1.5, 3.0], [3.0, 1.5, -1.0, -2.0]):
        chosen = operating_points.youden_threshold(np.array(logits), labels)
        ends = (expit(-1), expit(1.5)) if logits[0] < 0 else (expit(-2), 0)  # or all, or none
        both = [np.mean(ends), np.mean([expit(3), 1])]
        assert np.min(np.abs(expit(chosen) - both)) < 1e-12
