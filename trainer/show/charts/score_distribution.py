"""The distribution of the predicted probability in each class."""

import itertools
from typing import Any

import numpy as np
from scipy.special import logit

from trainer.metrics.label_result import LabelResult, point_title, threshold_logit
from trainer.show.charts.chart import (
    BLUE,
    ORANGE,
    POINTS,
    Chart,
    chart,
    legend_below,
    legend_height,
    plain,
)

BINS = 30
ENDS = (1e-4, 1 - 1e-4)  # a probability beyond them is drawn there
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
FINE_TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
NARROW = 7  # in logits: up to this width the fine ticks have room
LINES = ("--", ":", "-.", "-")


def scores_chart(result: LabelResult) -> Chart:
    """Returns histograms of the probability in each class, with the thresholds.

    The axis is linear in the logit: nearly all probabilities of a trained network are close to 0
    or 1, and the images between, where it is unsure or wrong, would otherwise not be seen. Shares
    are of each class, so that a rare one is seen too.
    """
    legend = legend_height(len(set(result.labels)) + len(result.operating_points))
    xlabel, ylabel = "predicted probability (logit scale)", "share of the class"
    with chart("Scores", xlabel, ylabel, subtitle=result.subtitle, legend=legend) as (figure, axes):
        points, ends = result.operating_points, logit(ENDS)
        values = np.clip(result.logits, *ends)
        thresholds = np.clip([threshold_logit(point) for point in points], *ends)
        shown = np.concatenate([values, thresholds])
        edges = np.linspace(shown.min() - 0.1, shown.max() + 0.1, BINS + 1)
        handles: list[Any] = []
        names = []
        for value, colour in enumerate((BLUE, ORANGE)):
            class_values = values[result.labels == value]
            if class_values.size:
                shares = np.histogram(class_values, edges)[0] / class_values.size
                handles.append(axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35))
                axes.stairs(shares, edges, color=colour, lw=1.4)
                names.append(f"{plain(result.classes[value])} ({class_values.size:,} images)")
        looks = itertools.cycle(zip(LINES, POINTS, strict=True))
        for point, at in zip(points, thresholds, strict=True):
            line, (_, colour) = next(looks)
            handles.append(axes.axvline(at, ls=line, color=colour))
            names.append(f"threshold: {point_title(point)}")
        width = edges[-1] - edges[0]
        ticks = np.array(FINE_TICKS if width < NARROW else TICKS)
        # A tick's label at the very end would be cut off.
        ticks = ticks[np.abs(logit(ticks) - edges.mean()) < 0.47 * width]
        axes.set_xticks(logit(ticks), [f"{tick:g}" for tick in ticks])
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None))
        legend_below(figure, handles, names)
        return Chart(figure, result.chart_name("scores"))
