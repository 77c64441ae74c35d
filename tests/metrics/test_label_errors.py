"""Labels that are probably wrong are found, and as many as chance alone would give are counted."""

import numpy as np
import pytest

from trainer.metrics import label_errors


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities of three classes, and labels drawn from them."""
    random = np.random.default_rng(seed)
    probability = random.dirichlet([0.3, 0.3, 0.3], count)
    draws = random.random((count, 1))
    return probability, np.minimum((probability.cumsum(1) < draws).sum(1), 2)


def test_flipped_labels_of_sure_predictions_come_first():
    classes = np.arange(300) % 3
    probability = np.full((300, 3), 0.05)
    probability[np.arange(300), classes] = 0.9
    wrong = np.array([7, 100, 201])
    given = classes.copy()
    given[wrong] = (classes[wrong] + 1) % 3
    probability[100, classes[100]] = 0.99
    found = label_errors.find(probability, given)
    assert found.images[0] == 100 and sorted(found.images) == wrong.tolist()
    np.testing.assert_array_equal(found.suggested, classes[found.images])
    assert np.all(np.diff(found.margins) <= 0)


def test_right_labels_look_wrong_as_often_as_calibration_says():
    counts = [label_errors.find(*drawn(4000, seed)) for seed in range(5)]
    found, expected = sum(len(c.images) for c in counts), sum(c.expected for c in counts)
    assert found == pytest.approx(expected, rel=0.1) and found > 100


def test_a_class_without_images_is_suggested_for_none():
    probability, classes = drawn(200)
    found = label_errors.find(probability, np.where(classes == 2, 0, classes))
    assert 2 not in found.suggested
