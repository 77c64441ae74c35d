"""The area under the drawn precision-recall curve is the average precision."""

from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trainer.show.charts.precision_recall import precision_recall_chart


def texts(chart):
    return [text for text in ElementTree.fromstring(chart.svg()).itertext() if text.strip()]


def test_the_area_under_the_drawn_steps_is_the_average_precision(judged):
    of = judged()
    chart = precision_recall_chart(of)
    recall, precision = chart.figure.axes[0].lines[0].get_data()
    value = average_precision_score(of.labels, of.probability)
    assert -np.sum(np.diff(recall) * precision[:-1]) == pytest.approx(value)
    assert f"average precision {value:.3f}" in texts(chart)


def test_it_shows_the_interval_the_points_and_the_prevalence(judged):
    of = judged(average_precision={"value": 0.8, "low": 0.7, "high": 0.9})
    shown = " ".join(texts(precision_recall_chart(of)))
    called = of.probability >= 0.5
    precision, recall = of.labels[called].mean(), called[of.labels == 1].mean()
    assert "average precision 0.800 (0.700 to 0.900)" in shown
    assert f"probability 0.5: recall {recall:.2f}, precision {precision:.2f}" in shown
    assert f"prevalence {of.labels.mean():.2f}" in shown


def test_a_point_at_which_nothing_is_called_has_no_precision(judged):
    of = judged(operating_points=[{"name": "never", "threshold": 1.1}])
    assert "never" not in " ".join(texts(precision_recall_chart(of)))
