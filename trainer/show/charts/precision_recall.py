"""The precision-recall curve of one label."""

import itertools

from sklearn.metrics import average_precision_score, precision_recall_curve

from trainer.metrics.label_result import LabelResult, in_words, point_in_words
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


def precision_recall_chart(judged: LabelResult) -> Chart:
    """The curve of one label of both classes, with its operating points marked.

    A point at which nothing is called has no precision and is left out.
    """
    title, legend = "Precision and recall", legend_height(2 + len(judged.points))
    with chart(title, *AXES, SQUARE, judged.about, legend) as (figure, axes):
        precision, recall, _ = precision_recall_curve(judged.labels, judged.probability)
        # The area under the steps is the average precision; the curve's end at precision 1, where
        # nothing is called, is none of them.
        precision[-1] = precision[-2]
        handles = axes.plot(recall, precision, color=BLUE, drawstyle="steps-post")
        names = [f"average precision {_average_precision(judged)}"]
        for point, look in zip(judged.points, itertools.cycle(POINTS)):
            (_, fp), (fn, tp) = judged.confusion(point["threshold"])
            if tp + fp:
                recalled, precise = tp / (fn + tp), tp / (tp + fp)
                handles += mark(axes, recalled, precise, look)
                rates = f"recall {recalled:.2f}, precision {precise:.2f}"
                names.append(f"{point_in_words(point)}: {rates}")
        prevalence = judged.labels.mean()
        handles.append(axes.axhline(prevalence, ls="--", color=INK, alpha=0.35, lw=1))
        names.append(f"prevalence {prevalence:.2f}: the precision of chance")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        legend_below(figure, handles, names)
        return Chart(figure, judged.named("precision and recall"))


def _average_precision(judged: LabelResult) -> str:
    if judged.average_precision is None or judged.average_precision["value"] is None:
        return f"{average_precision_score(judged.labels, judged.probability):.3f}"
    return in_words(judged.average_precision)
