"""Charts of the metrics of a training over its epochs."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainer.show.charts.chart import (
    BLUE,
    GREEN,
    INK,
    MANY,
    ORANGE,
    PURPLE,
    SMALL,
    Chart,
    chart,
    ends_height,
    ends_width,
    legend_below,
    legend_height,
    name_ends,
)


class Curve(NamedTuple):
    """One line over the epochs: `history[i][split][metric]`, where the entry has that split."""

    label: str
    split: str
    metric: str
    colour: str
    line: str = "-"


def epoch_chart(
    title: str,
    history: Sequence[Mapping],
    curves: Sequence[Curve],
    *,
    unit: str,
    kept_epoch: float,
    share: bool = True,
    named_at_ends: bool = False,
) -> Chart:
    """Returns a chart of curves over the epochs, with the kept epoch marked.

    Args:
      title: heading of the chart.
      history: an entry for each epoch, and for evaluations between; a value of None leaves a gap.
      curves: the lines to draw.
      unit: label of the vertical axis.
      kept_epoch: the epoch whose weights were kept.
      share: whether the values are shares, with an axis that ends at 1.
      named_at_ends: whether each curve has its name behind its last point, not in a legend: of many
        the colours are hard to tell apart.
    """
    names = [curve.label for curve in curves]
    in_legend = [] if named_at_ends else names
    columns, size = 3 if len(in_legend) < 3 else 2, SMALL if len(in_legend) < 6 else 7.5
    rows = math.ceil((len(in_legend) + 1) / columns)
    room: dict[str, Any] = {"legend": legend_height(rows, size)}
    if named_at_ends:
        height = max(3.4, ends_height(len(names)) + 1)
        room |= {"size": (4.8, height), "right": ends_width(names)}
    with chart(title, "epoch", unit, **room) as (figure, axes):
        epochs = [entry["epoch"] for entry in history]
        # A value between two gaps has no line, so a short history shows its points too.
        marker = "o" if len(epochs) <= 30 else None
        lines = []
        for curve in curves:
            points = [entry for entry in history if curve.split in entry]
            at = [entry["epoch"] for entry in points]
            values = np.array([entry[curve.split][curve.metric] for entry in points], float)
            lines += axes.plot(at, values, curve.line, marker=marker, color=curve.colour)
        kept = axes.axvline(kept_epoch, color=INK, alpha=0.5, ls=":", lw=1.4)
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if share:
            axes.set_ylim(top=1.01)
        else:
            axes.set_ylim(bottom=0)
        if named_at_ends:
            name_ends(axes, lines, names)
            lines = []
        # Below the first of two columns where this keeps the other curves side by side.
        place = rows - 1 if columns == 2 and len(lines) % 2 == 0 else len(lines)
        lines.insert(place, kept)
        in_legend.insert(place, f"kept epoch: {round(kept_epoch, 2):g}")
        legend_below(figure, lines, in_legend, columns=columns, size=size)
        return Chart(figure, title)


def history_charts(history: Sequence[Mapping], kept_epoch: float) -> list[Chart]:
    """Returns the charts of a training: its metrics over the epochs.

    Args:
      history: an entry for each epoch: `epoch`, and the metrics under `train` and `validation`;
        one for an evaluation between has a fraction, and no `train`.
      kept_epoch: the epoch whose weights were kept.
    """

    def metric_chart(title: str, unit: str, metric: str, *, share: bool = True) -> Chart:
        curves = [
            Curve("training", "train", metric, BLUE),
            Curve("validation", "validation", metric, ORANGE),
        ]
        return epoch_chart(title, history, curves, unit=unit, kept_epoch=kept_epoch, share=share)

    rates = [
        Curve("sensitivity, validation", "validation", "sensitivity", PURPLE),
        Curve("sensitivity, training", "train", "sensitivity", PURPLE, "--"),
        Curve("specificity, validation", "validation", "specificity", GREEN),
        Curve("specificity, training", "train", "specificity", GREEN, "--"),
    ]
    return [
        metric_chart("Accuracy", "share correct", "accuracy"),
        metric_chart("Loss", "cross-entropy", "loss", share=False),
        metric_chart("Area under the ROC curve", "AUC", "auc"),
        metric_chart("Average precision", "area", "average_precision"),
        epoch_chart(
            "Sensitivity and specificity", history, rates, unit="share", kept_epoch=kept_epoch
        ),
    ]


def label_history_charts(history: Sequence[Mapping], kept_epoch: float) -> list[Chart]:
    """Returns charts of the AUC of each label over the epochs, on validation and in training.

    Args:
      history: as in `history_charts`, with more than one label.
      kept_epoch: the epoch whose weights were kept.
    """
    charts = []
    for split in ("validation", "train"):
        rows = [
            {
                "epoch": entry["epoch"],
                split: {name: label["auc"] for name, label in entry[split]["labels"].items()},
            }
            for entry in history
            if split in entry
        ]
        curves = [
            Curve(name, split, name, *look)
            for name, look in zip(rows[0][split], itertools.cycle(MANY))
        ]
        title = f"AUC of each label, {'training' if split == 'train' else split}"
        charts.append(
            epoch_chart(title, rows, curves, unit="AUC", kept_epoch=kept_epoch, named_at_ends=True)
        )
    return charts
