"""ROC curves of one label, with its band and operating points, and of all labels."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from sklearn.metrics import roc_auc_score, roc_curve

from trainer.metrics import bootstrap
from trainer.metrics.label_result import LabelResult, interval_text, point_title
from trainer.show.charts.chart import (
    BLUE,
    INK,
    MANY,
    POINTS,
    SQUARE,
    Chart,
    chart,
    legend_below,
    legend_height,
    mark,
    plain,
)

BAND_RESAMPLES = 200
SIZE = 7.5  # of the names of many labels, in points
AXES = ("1 − specificity", "sensitivity")


def roc_chart(result: LabelResult) -> Chart:
    """Returns the ROC curve of one label of both classes, with its operating points marked.

    The band holds 95 % of the curves of resampled patients at each specificity (vertical
    averaging: Fawcett, Pattern Recognition Letters 27:861 (2006)).
    """
    legend = legend_height(2 + len(result.operating_points))
    with chart("ROC curve", *AXES, size=SQUARE, subtitle=result.subtitle, legend=legend) as (
        figure,
        axes,
    ):
        rates, low, high = band(result)
        shade = axes.fill_between(rates, low, high, color=BLUE, alpha=0.2, lw=0)
        false_positive, true_positive, _ = roc_curve(result.labels, result.logits)
        (line,) = axes.plot(false_positive, true_positive, color=BLUE)
        handles: list[Any] = [(shade, line)]
        names = [f"{_auc(result)}; band: 95 % over patients"]
        for point, look in zip(result.operating_points, itertools.cycle(POINTS)):
            (tn, fp), (fn, tp) = result.confusion_matrix(point)
            sensitivity, specificity = tp / (fn + tp), tn / (tn + fp)
            handles += mark(axes, (1 - specificity, sensitivity), look)
            text = f"sensitivity {sensitivity:.2f}, specificity {specificity:.2f}"
            names.append(f"{point_title(point)}: {text}")
        legend_below(figure, [*handles, _chance(axes)], [*names, "chance"])
        return Chart(figure, result.chart_name("ROC curve"))


def label_roc_chart(results: Sequence[LabelResult]) -> Chart:
    """Returns the ROC curve of each label of one split; a label of one class is left out."""
    results = [result for result in results if result.has_both_classes]
    legend = legend_height((len(results) + 2) // 2, SIZE)
    with chart("ROC curves", *AXES, size=SQUARE, legend=legend) as (figure, axes):
        lines, names = [], []
        for result, (colour, line) in zip(results, itertools.cycle(MANY)):
            false_positive, true_positive, _ = roc_curve(result.labels, result.logits)
            lines += axes.plot(false_positive, true_positive, line, color=colour, lw=1.3)
            auc = roc_auc_score(result.labels, result.logits)
            names.append(f"{plain(result.name, 28)} {auc:.3f}")
        legend_below(figure, [*lines, _chance(axes)], [*names, "chance"], columns=2, size=SIZE)
        return Chart(figure, "ROC curves")


def band(result: LabelResult) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns false-positive rates, and the interval of the sensitivity there: [101] each."""
    order = np.argsort(-result.logits, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(result.logits[order])), len(order) - 1)
    rates, positive = np.linspace(0, 1, 101), result.labels[order] == 1

    def curve(counts: np.ndarray) -> np.ndarray:
        hits, alarms = np.cumsum(counts * positive)[ends], np.cumsum(counts * ~positive)[ends]
        if not hits[-1] or not alarms[-1]:
            return np.full_like(rates, np.nan)
        return np.interp(rates, np.append(0, alarms / alarms[-1]), np.append(0, hits / hits[-1]))

    resamples = bootstrap.Resamples(result.patients, 0, BAND_RESAMPLES)
    return rates, *bootstrap.percentiles(resamples.measure(curve, order)[1:])


def _auc(result: LabelResult) -> str:
    if result.auc is None or result.auc["value"] is None:
        return f"AUC {roc_auc_score(result.labels, result.logits):.3f}"
    return f"AUC {interval_text(result.auc)}"


def _chance(axes: Axes) -> Line2D:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    (line,) = axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.35, lw=1)
    return line
