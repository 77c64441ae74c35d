"""A label has all charts that are defined for it, with distinct names."""

import numpy as np

from trainer.show.charts.label_charts import label_charts


def test_a_label_has_the_charts_that_are_defined_for_it(label_result, texts):
    result = label_result()
    charts = label_charts(result)
    assert set(charts) == {"roc", "precision_recall", "calibration", "scores", "confusion"}
    for chart in charts.values():
        assert f"test: PNEUMONIA in {result.labels.sum()} of 200 images" in texts(chart)
    one_class = label_result(labels=np.zeros(200, int))
    assert set(label_charts(one_class)) == {"scores", "confusion"}
    nothing = np.zeros(0)
    unknown = label_result(labels=nothing.astype(int), probability=nothing, patients=[])
    assert label_charts(unknown) == {}


def test_charts_of_two_labels_and_two_splits_have_distinct_names(label_result):
    names = [
        chart.name
        for label in ("Edema", "Hernia")
        for split in ("validation", "test")
        for chart in label_charts(label_result(name=label, split=split)).values()
    ]
    assert len(set(names)) == len(names) == 20


def test_long_names_stay_within_every_chart(label_result):
    long = label_result(name="A finding " * 12, classes=["without " * 9, "with " * 9])
    for chart in label_charts(long).values():
        figure = chart.figure
        figure.canvas.draw()
        shown = figure.get_tightbbox()
        assert shown.x0 >= 0 and shown.x1 <= figure.get_figwidth() + 0.05
        assert shown.y0 >= -0.02 and shown.y1 <= figure.get_figheight()
