"""The score chart shows every image of each class, and the thresholds."""

from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.special import logit

from trainer.show.charts.score_distribution import scores_chart


def texts(chart):
    return [text for text in ElementTree.fromstring(chart.svg()).itertext() if text.strip()]


def test_each_class_is_drawn_whole_and_named_with_its_images(judged):
    of = judged()
    chart = scores_chart(of)
    for patch in chart.figure.axes[0].patches:
        assert np.isclose(patch.get_data().values.sum(), 1)
    assert f"PNEUMONIA ({of.labels.sum()} images)" in texts(chart)
    assert f"NORMAL ({200 - of.labels.sum()} images)" in texts(chart)


def test_the_thresholds_stand_at_their_probability(judged):
    chart = scores_chart(judged())
    at = [line.get_xdata()[0] for line in chart.figure.axes[0].lines]
    assert at == pytest.approx([0, logit(0.73)])
    assert {"threshold: probability 0.5", "threshold: chosen on validation (0.73)"} <= set(
        texts(chart)
    )


@pytest.mark.filterwarnings("error")
def test_scores_of_exactly_zero_and_one_are_drawn_at_the_ends(judged):
    chart = scores_chart(judged(probability=judged().labels.astype(float)))
    for patch in chart.figure.axes[0].patches:
        assert np.isclose(patch.get_data().values.sum(), 1)


def test_a_narrow_range_has_more_ticks(judged):
    narrow = judged(probability=np.clip(judged().probability, 0.2, 0.8))
    names = [tick.get_text() for tick in scores_chart(narrow).figure.axes[0].get_xticklabels()]
    assert {"0.3", "0.5", "0.7"} <= set(names)
