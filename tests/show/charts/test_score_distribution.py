"""The score chart shows every image of each class, and the thresholds."""

import numpy as np
import pytest
from scipy.special import logit

from trainer.show.charts.score_distribution import scores_chart


def test_each_class_is_drawn_whole_and_named_with_its_images(label_result, texts):
    result = label_result()
    chart = scores_chart(result)
    for patch in chart.figure.axes[0].patches:
        assert np.isclose(patch.get_data().values.sum(), 1)
    assert f"PNEUMONIA ({result.labels.sum()} images)" in texts(chart)
    assert f"NORMAL ({200 - result.labels.sum()} images)" in texts(chart)


def test_the_thresholds_stand_at_their_probability(label_result, texts):
    chart = scores_chart(label_result())
    at = [line.get_xdata()[0] for line in chart.figure.axes[0].lines]
    assert at == pytest.approx([0, logit(0.73)])
    assert {"threshold: probability 0.5", "threshold: chosen on validation (0.73)"} <= set(
        texts(chart)
    )


@pytest.mark.filterwarnings("error")
def test_scores_of_exactly_zero_and_one_are_drawn_at_the_ends(label_result):
    chart = scores_chart(label_result(probability=label_result().labels.astype(float)))
    for patch in chart.figure.axes[0].patches:
        assert np.isclose(patch.get_data().values.sum(), 1)


def test_a_narrow_range_has_more_ticks(label_result):
    narrow = label_result(probability=np.clip(label_result().probability, 0.2, 0.8))
    names = [tick.get_text() for tick in scores_chart(narrow).figure.axes[0].get_xticklabels()]
    assert {"0.3", "0.5", "0.7"} <= set(names)
