"""The area under the drawn precision-recall curve is the average precision."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trainer.show.charts.precision_recall import precision_recall_chart


def test_the_area_under_the_drawn_steps_is_the_average_precision(label_result, texts):
    result = label_result()
    chart = precision_recall_chart(result)
    recall, precision = chart.figure.axes[0].lines[0].get_data()
    value = average_precision_score(result.labels, result.probability)
    assert -np.sum(np.diff(recall) * precision[:-1]) == pytest.approx(value)
    assert f"average precision {value:.3f}" in texts(chart)


def test_it_shows_the_interval_the_points_and_the_prevalence(label_result, texts):
    result = label_result(average_precision={"value": 0.8, "low": 0.7, "high": 0.9})
    shown = " ".join(texts(precision_recall_chart(result)))
    predicted = result.probability >= 0.5
    precision, recall = result.labels[predicted].mean(), predicted[result.labels == 1].mean()
    assert "average precision 0.800 (0.700 to 0.900)" in shown
    assert f"probability 0.5: recall {recall:.2f}, precision {precision:.2f}" in shown
    assert f"prevalence {result.labels.mean():.2f}" in shown


def test_a_point_at_which_nothing_is_predicted_has_no_precision(label_result, texts):
    result = label_result(operating_points=[{"name": "never", "threshold": 1.1}])
    assert "never" not in " ".join(texts(precision_recall_chart(result)))
