"""A judged label has all its charts, under names of their own, and only those that are defined."""

from xml.etree import ElementTree

import numpy as np

from trainer.show.charts.label_charts import label_charts


def test_a_label_has_five_charts_that_say_what_they_show(judged):
    of = judged()
    charts = label_charts(of)
    assert set(charts) == {"roc", "precision_recall", "calibration", "scores", "confusion"}
    for chart in charts.values():
        texts = set(ElementTree.fromstring(chart.svg()).itertext())
        assert f"test: PNEUMONIA in {of.labels.sum()} of 200 images" in texts


def test_a_label_of_one_class_has_the_charts_that_need_no_other(judged):
    assert set(label_charts(judged(labels=np.zeros(200, int)))) == {"scores", "confusion"}


def test_a_label_that_is_never_known_has_no_chart(judged):
    nothing = np.zeros(0)
    empty = judged(labels=nothing.astype(int), probability=nothing, patients=[])
    assert label_charts(empty) == {}


def test_no_two_charts_of_two_labels_and_two_splits_have_one_name(judged):
    names = [
        chart.name
        for label in ("Edema", "Hernia")
        for split in ("validation", "test")
        for chart in label_charts(judged(name=label, split=split)).values()
    ]
    assert len(set(names)) == len(names) == 20


def test_long_names_stay_within_every_chart(judged):
    long = judged(name="A finding " * 12, classes=["without " * 9, "with " * 9])
    for chart in label_charts(long).values():
        figure = chart.figure
        figure.canvas.draw()
        shown = figure.get_tightbbox()
        assert shown.x0 >= 0 and shown.x1 <= figure.get_figwidth() + 0.05
        assert shown.y0 >= -0.02 and shown.y1 <= figure.get_figheight()
