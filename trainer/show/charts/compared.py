"""Charts that compare several runs, each in its own colour."""

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_auc_score, roc_curve

from trainer.metrics.label_result import LabelResult
from trainer.show.charts.chart import (
    INK,
    MANY,
    SQUARE,
    Chart,
    chart,
    legend_below,
    legend_height,
    plain,
)

METRICS = {
    "auc": ("Validation AUC", "AUC"),
    "loss": ("Validation loss", "cross-entropy"),
    "accuracy": ("Validation accuracy", "share correct"),
}
LONGEST = 48  # characters of a run's name
ROC_AXES = ("1 − specificity", "sensitivity")


def compared_history_charts(histories: Mapping[str, Sequence[Mapping]]) -> list[Chart]:
    """Returns charts of the validation metrics over the epochs.

    Args:
      histories: run -> its history; a value of None leaves a gap.
    """
    return [_over_epochs(metric, histories) for metric in METRICS]


def compared_roc_chart(results: Mapping[str, LabelResult]) -> Chart:
    """Returns a chart of the ROC curves of one label of the test split.

    Args:
      results: run -> the result of the label; one of a single class is left out.
    """
    label = next(iter(results.values())).name
    legend = legend_height(1 + sum(result.has_both_classes for result in results.values()))
    with chart("ROC curves, test", *ROC_AXES, size=SQUARE, subtitle=label, legend=legend) as (
        figure,
        axes,
    ):
        lines, names = [], []
        for (name, result), look in zip(results.items(), itertools.cycle(MANY)):
            if result.has_both_classes:
                false_positive, true_positive, _ = roc_curve(result.labels, result.logits)
                auc = roc_auc_score(result.labels, result.logits)
                lines += _line(axes, false_positive, true_positive, look=look)
                names.append(f"{plain(name, LONGEST)}: {auc:.3f}")
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        lines += axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.35, lw=1)
        legend_below(figure, lines, [*names, "chance"])
        return Chart(figure, f"{label}: ROC curves of the runs")


def _over_epochs(metric: str, histories: Mapping[str, Sequence[Mapping]]) -> Chart:
    title, unit = METRICS[metric]
    columns = 1 if max(map(len, histories)) > 18 else 2
    legend = legend_height(math.ceil(len(histories) / columns))
    with chart(title, "epoch", unit, legend=legend) as (figure, axes):
        lines = []
        for history, look in zip(histories.values(), itertools.cycle(MANY)):
            values = np.array([epoch["validation"][metric] for epoch in history], float)
            epochs = [epoch["epoch"] for epoch in history]
            # A value between two gaps has no line, so a short history shows its points too.
            marker = "o" if len(epochs) <= 30 else None
            lines += _line(axes, epochs, values, look=look, marker=marker)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if metric == "loss":
            axes.set_ylim(bottom=0)
        else:
            axes.set_ylim(top=1.01)
        legend_below(figure, lines, [plain(name, LONGEST) for name in histories], columns=columns)
        return Chart(figure, f"{title} of the runs")


def _line(
    axes: Axes,
    x: Sequence[float],
    y: np.ndarray,
    *,
    look: tuple[str, str],
    marker: str | None = None,
) -> list[Line2D]:
    colour, line = look
    return axes.plot(x, y, line, color=colour, marker=marker, lw=1.5)
