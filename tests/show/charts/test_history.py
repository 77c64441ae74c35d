"""The charts of a training show its curves, its gaps and the kept epoch."""

import re

import pytest

from trainer.show.charts.chart import BLUE, ORANGE
from trainer.show.charts.history import Curve, epoch_chart, history_charts, label_history_charts

METRICS = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")
TITLES = [
    "Accuracy",
    "Loss",
    "Area under the ROC curve",
    "Average precision",
    "Sensitivity and specificity",
]


def history(epochs):
    values = dict.fromkeys(METRICS, 0.9)
    return [{"epoch": e, "train": values, "validation": values} for e in range(1, epochs + 1)]


def line_lengths(chart):
    """Number of points of each drawn line."""
    lines = re.findall(r'<path d="([^"]*)" clip-path', chart.svg())
    return [len(re.findall("[ML]", line)) for line in lines]


def test_a_training_has_charts_with_titles_axes_and_the_kept_epoch(texts):
    charts = history_charts(history(5), kept_epoch=4)

    units = ["share correct", "cross-entropy", "AUC", "area", "share"]
    assert [chart.name for chart in charts] == TITLES
    for chart, title, unit in zip(charts, TITLES, units, strict=True):
        assert {title, unit, "epoch", "kept epoch: 4"} <= set(texts(chart))
    assert all({"training", "validation"} <= set(texts(chart)) for chart in charts[:4])


def test_curves_go_through_the_values_of_their_split():
    falling, rising = history(3), history(3)
    for index, (down, up) in enumerate(zip(falling, rising, strict=True)):
        down["train"] = {"loss": 3.0 - index}
        up["train"] = {"loss": 1.0 + index}
    curve = [Curve("training", "train", "loss", BLUE)]

    look = {"unit": "nats", "kept_epoch": 1, "share": False}
    down, up = (epoch_chart("Loss", rows, curve, **look) for rows in (falling, rising))

    assert down.svg() != up.svg()
    assert max(line_lengths(down)) == max(line_lengths(up)) == 3


def test_an_undefined_value_leaves_a_gap():
    whole, gap = history(5), history(5)
    gap[0]["validation"] = {"auc": None}
    curve = [Curve("validation", "validation", "auc", ORANGE)]

    charts = [epoch_chart("A", rows, curve, unit="", kept_epoch=1) for rows in (whole, gap)]
    drawn = [max(line_lengths(chart)) for chart in charts]

    assert drawn == [5, 4]


@pytest.mark.filterwarnings("error")
def test_one_epoch_is_enough_to_see_its_points(texts):
    for chart in history_charts(history(1), kept_epoch=1):
        assert chart.svg().count("<use") > 4
        assert "1" in texts(chart)


def test_the_legend_lists_sensitivity_beside_specificity():
    (legend,) = history_charts(history(3), 2)[-1].figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == [
        "sensitivity, validation",
        "sensitivity, training",
        "kept epoch: 2",
        "specificity, validation",
        "specificity, training",
    ]


def test_each_label_has_its_curve_of_its_own_look(texts):
    rows = history(3)
    names = [f"label {k}" for k in range(20)]
    for row in rows:
        row["train"] = row["validation"] = {"labels": {name: {"auc": 0.8} for name in names}}

    charts = label_history_charts(rows, kept_epoch=2)

    assert [chart.name for chart in charts] == [
        "AUC of each label, validation",
        "AUC of each label, training",
    ]
    for chart in charts:
        assert set(names) <= set(texts(chart))
        looks = [(line.get_color(), line.get_linestyle()) for line in chart.figure.axes[0].lines]
        assert len(set(looks)) == len(names) + 1
