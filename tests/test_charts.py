"""Behaviour of the charts: what they draw, and that they fit into one page."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from trainer import charts

METRICS = ("loss", "accuracy", "auc", "sensitivity", "specificity")


def history(epochs):
    values = {metric: 0.9 for metric in METRICS}
    return [{"epoch": e, "train": values, "validation": values} for e in range(1, epochs + 1)]


def point(specificity=0.9, sensitivity=0.8):
    return {
        "name": "chosen",
        "threshold": 0.73,
        "specificity": {"value": specificity},
        "sensitivity": {"value": sensitivity},
    }


def scores(labels=(0, 0, 1, 1)):
    return {"test": (np.array(labels), np.array([0.1, 0.6, 0.4, 0.9]))}


def texts(svg):
    return [text for text in ElementTree.fromstring(svg).itertext() if text.strip()]


def line_lengths(svg):
    """Number of points of each drawn line."""
    return [len(re.findall("[ML]", d)) for d in re.findall(r'<path d="([^"]*)" clip-path', svg)]


def test_a_training_has_charts_with_titles_axes_and_the_kept_epoch():
    drawn = [texts(svg) for svg in charts.history_charts(history(5), kept_epoch=4)]

    titles = ["Accuracy", "Loss", "Area under the ROC curve", "Sensitivity and specificity"]
    units = ["share correct", "cross-entropy", "AUC", "share"]
    for labels, title, unit in zip(drawn, titles, units, strict=True):
        assert {title, unit, "epoch", "kept: epoch 4"} <= set(labels)
    assert all({"training", "validation"} <= set(labels) for labels in drawn[:3])


def test_curves_go_through_the_values_of_their_split():
    falling, rising = history(3), history(3)
    for index, (down, up) in enumerate(zip(falling, rising, strict=True)):
        down["train"] = {"loss": 3.0 - index}
        up["train"] = {"loss": 1.0 + index}
    curve = [charts.Curve("training", "train", "loss", charts.BLUE)]

    down, up = (
        charts.epoch_chart("Loss", "nats", rows, curve, 1, share=False)
        for rows in (falling, rising)
    )

    assert down != up
    assert max(line_lengths(down)) == max(line_lengths(up)) == 3


def test_an_undefined_value_leaves_a_gap():
    whole, gap = history(5), history(5)
    gap[0]["validation"] = {"auc": None}
    curve = [charts.Curve("validation", "validation", "auc", charts.ORANGE)]

    drawn = [max(line_lengths(charts.epoch_chart("A", "", h, curve, 1))) for h in (whole, gap)]

    assert drawn == [5, 4]


@pytest.mark.filterwarnings("error")
def test_one_epoch_is_enough_to_see_its_points():
    for svg in charts.history_charts(history(1), kept_epoch=1):
        assert svg.count("<use") > 4
        assert "1" in texts(svg)


def test_the_roc_chart_marks_the_operating_points():
    without, with_point = (charts.roc_chart(scores(), points) for points in ([], [point()]))

    assert "chosen (at 0.73)" in texts(with_point) and "chosen (at 0.73)" not in texts(without)
    assert {"1 - specificity", "sensitivity", "test"} <= set(texts(with_point))


def test_the_roc_chart_leaves_out_what_is_undefined():
    labels = texts(charts.roc_chart(scores(labels=(1, 1, 1, 1)), [point(specificity=None)]))

    assert "test" not in labels and "chosen (at 0.73)" not in labels
    assert "chance" in labels


def test_charts_of_one_page_share_no_ids_and_load_nothing():
    drawn = [*charts.history_charts(history(5), 4), charts.roc_chart(scores(), [point()])]

    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in drawn]
    assert all(ids) and len(set.union(*ids)) == sum(map(len, ids))
    for svg, own in zip(drawn, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own
        assert not re.search(r'href="(?!#)', svg)


def test_charts_take_the_colour_of_the_page_and_are_named():
    svg = charts.roc_chart(scores(), [point()])

    assert svg.startswith('<svg role="img" aria-label="ROC curve"')
    assert "currentColor" in svg and charts.INK not in svg


def test_the_same_numbers_give_the_same_chart():
    assert charts.history_charts(history(3), 2) == charts.history_charts(history(3), 2)


def test_the_curve_of_a_label_of_one_class_is_left_out():
    values = np.array([0.1, 0.4, 0.3, 0.9])
    svg = charts.label_roc_chart(
        {"Edema": (np.array([0, 0, 1, 1]), values), "Hernia": (np.zeros(4), values)}
    )
    assert "Edema" in texts(svg) and "Hernia" not in texts(svg)
