"""The precision-recall curve of one label."""

import itertools

from sklearn.metrics import average_precision_score, precision_recall_curve

from trainer.metrics.label_result import LabelResult, interval_text, point_title
from trainer.show.charts.chart import (
    BLUE,
    INK,
    POINTS,
    SQUARE,
    Chart,
    chart,
    legend_below,
    legend_height,
    mark,
)

AXES = ("recall (sensitivity)", "precision (positive predictive value)")


def precision_recall_chart(result: LabelResult) -> Chart:
    """Returns the curve of one label of both classes, with its operating points marked.

    A point at which no image is predicted positive has no precision and is left out.
    """
    title, legend = "Precision and recall", legend_height(2 + len(result.operating_points))
    with chart(title, *AXES, size=SQUARE, subtitle=result.subtitle, legend=legend) as (
        figure,
        axes,
    ):
        precision, recall, _ = precision_recall_curve(result.labels, result.logits)
        # The area under the steps is the average precision, without the curve's end at precision 1,
        # where no image is predicted positive.
        precision[-1] = precision[-2]
        handles = axes.plot(recall, precision, color=BLUE, drawstyle="steps-post")
        names = [f"average precision {_average_precision(result)}"]
        for point, look in zip(result.operating_points, itertools.cycle(POINTS)):
            (_, fp), (fn, tp) = result.confusion_matrix(point)
            if tp + fp:
                point_recall, point_precision = tp / (fn + tp), tp / (tp + fp)
                handles += mark(axes, (point_recall, point_precision), look)
                rates = f"recall {point_recall:.2f}, precision {point_precision:.2f}"
                names.append(f"{point_title(point)}: {rates}")
        prevalence = result.labels.mean()
        handles.append(axes.axhline(prevalence, ls="--", color=INK, alpha=0.35, lw=1))
        names.append(f"prevalence {prevalence:.2f}: the precision of chance")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        legend_below(figure, handles, names)
        return Chart(figure, result.chart_name("precision and recall"))


def _average_precision(result: LabelResult) -> str:
    if result.average_precision is None or result.average_precision["value"] is None:
        return f"{average_precision_score(result.labels, result.logits):.3f}"
    return interval_text(result.average_precision)
