"""Several runs in one chart."""

import numpy as np

from trainer.show.charts.compared import compared_history_charts, compared_roc_chart


def history(aucs):
    return [
        {"epoch": number, "validation": {"auc": auc, "loss": 0.5, "accuracy": 0.8}}
        for number, auc in enumerate(aucs, 1)
    ]


def test_each_run_has_a_line_of_its_own_length_and_a_gap_where_nothing_is_defined():
    charts = compared_history_charts({"one": history([0.7, None, 0.9]), "two": history([0.8])})

    one, two = charts[0].figure.axes[0].lines
    assert np.array_equal(one.get_ydata(), [0.7, np.nan, 0.9], equal_nan=True)
    assert list(two.get_xdata()) == [1] and one.get_color() != two.get_color()


def test_the_roc_curves_are_named_with_their_areas_and_one_class_is_left_out(label_result):
    result = label_result()
    one_class = result._replace(labels=np.ones_like(result.labels))

    drawn = compared_roc_chart({"first": result, "nothing": one_class}).svg()

    assert "first: 0." in drawn and "chance" in drawn
    assert "nothing" not in drawn
