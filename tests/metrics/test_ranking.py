"""A ranking measures examples that count several times as if each were there so often."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from trainer.metrics.ranking import Ranking

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.random(300) < 0.6
SCORES = RANDOM.normal(size=300) + 1.5 * LABELS


@pytest.mark.parametrize("scores", [SCORES, np.round(SCORES)], ids=["distinct", "ties"])
@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_scikit_learn_on_the_repeated_examples(scores: np.ndarray, seed: int):
    counts = np.random.default_rng(seed).poisson(1, 300)
    drawn = np.repeat(np.arange(300), counts)
    labels, repeated = LABELS[drawn], scores[drawn]
    ranking = Ranking(LABELS, scores, [1.0, 50.0])
    auc, average, accuracy, *rates = ranking.measure(counts[ranking.order])
    assert auc == pytest.approx(roc_auc_score(labels, repeated))
    assert average == pytest.approx(average_precision_score(labels, repeated))
    assert accuracy == np.mean((repeated >= 1) == labels)
    assert rates[:2] == [np.mean(repeated[labels] >= 1), np.mean(repeated[~labels] < 1)]
    assert rates[2:] == [np.mean(~labels), 0, 1]  # nothing reaches 50


def test_what_one_class_alone_leaves_undefined_is_nan():
    ranking = Ranking(LABELS, SCORES, [0.0])
    areas, rates = np.split(ranking.measure(LABELS[ranking.order].astype(int)), [2])
    assert np.isnan(areas).all() and np.isnan(rates).tolist() == [False, False, True]
    nothing = np.zeros(0)
    assert np.isnan(Ranking(nothing > 0, nothing, [0.0]).measure(nothing.astype(int))).all()
