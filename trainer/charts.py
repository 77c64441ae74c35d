"""Charts of a run as SVG text to put into a page, in colours for a light and a dark one."""

import html
import io
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

BLUE, ORANGE, GREEN, PURPLE = "#3d85c6", "#e07b39", "#3a9d6e", "#9b6bc4"
MANY = tuple(map(to_hex, matplotlib.colormaps["tab20"].colors))
# Stands for the page's text colour; becomes `currentColor` in the SVG.
INK = "#010203"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trainer",
    "font.size": 9.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.ymargin": 0.1,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    **dict.fromkeys(
        ["text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "grid.color"], INK
    ),
    **dict.fromkeys(["xtick.color", "ytick.color"], INK),
}


class Curve(NamedTuple):
    """One line over the epochs: `history[i][split][metric]`."""

    label: str
    split: str
    metric: str
    colour: str
    line: str = "-"


def epoch_chart(
    title: str,
    unit: str,
    history: Sequence[Mapping],
    curves: Sequence[Curve],
    kept_epoch: int,
    share: bool = True,
) -> str:
    """Curves over the epochs with the kept epoch marked.

    Args:
      title: heading of the chart.
      unit: label of the vertical axis.
      history: one entry per epoch; a value of None leaves a gap.
      curves: the lines to draw.
      kept_epoch: the epoch whose weights were kept.
      share: whether the values are shares, whose axis ends at 1.

    Returns:
      An `<svg>` element.
    """
    with chart(title, "epoch", unit) as (figure, axes):
        epochs = [entry["epoch"] for entry in history]
        for curve in curves:
            values = np.array([entry[curve.split][curve.metric] for entry in history], float)
            # A value between two gaps has no line, so a short history shows its points too.
            marker = "o" if len(epochs) <= 30 else None
            axes.plot(
                epochs, values, curve.line, marker=marker, color=curve.colour, label=curve.label
            )
        axes.axvline(
            kept_epoch, color=INK, alpha=0.5, ls=":", lw=1.4, label=f"kept: epoch {kept_epoch}"
        )
        axes.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if share:
            axes.set_ylim(top=1.01)
        else:
            axes.set_ylim(bottom=0)
        axes.legend(fontsize=8.5 if len(curves) < 6 else 6)
        return svg(figure, title)


def history_charts(history: Sequence[Mapping], kept_epoch: int) -> list[str]:
    """The charts of a training: loss, accuracy, AUC, sensitivity and specificity.

    Args:
      history: one entry per epoch: `epoch`, and the metrics under `train` and `validation`.
      kept_epoch: the epoch whose weights were kept.

    Returns:
      `<svg>` elements.
    """

    def both(metric: str) -> list[Curve]:
        return [
            Curve("training", "train", metric, BLUE),
            Curve("validation", "validation", metric, ORANGE),
        ]

    rates = [
        Curve("sensitivity, validation", "validation", "sensitivity", PURPLE),
        Curve("sensitivity, training", "train", "sensitivity", PURPLE, "--"),
        Curve("specificity, validation", "validation", "specificity", GREEN),
        Curve("specificity, training", "train", "specificity", GREEN, "--"),
    ]
    return [
        epoch_chart("Accuracy", "share correct", history, both("accuracy"), kept_epoch),
        epoch_chart("Loss", "cross-entropy", history, both("loss"), kept_epoch, share=False),
        epoch_chart("Area under the ROC curve", "AUC", history, both("auc"), kept_epoch),
        epoch_chart("Sensitivity and specificity", "share", history, rates, kept_epoch),
    ]


def roc_chart(
    scores: Mapping[str, tuple[np.ndarray, np.ndarray]], operating_points: Sequence[Mapping]
) -> str:
    """ROC curves with the operating points of the last one marked.

    Args:
      scores: by split, labels [n] of 0 and 1 and scores [n]; a split of one class is left out.
      operating_points: each `name`, and `sensitivity` and `specificity` with their `value`.

    Returns:
      An `<svg>` element.
    """
    with chart("ROC curve", "1 - specificity", "sensitivity", (4.8, 4.6)) as (figure, axes):
        axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.35, lw=1, label="chance")
        colours = [BLUE, ORANGE][-len(scores) :]
        for (split, (labels, values)), colour in zip(scores.items(), colours, strict=True):
            if len(np.unique(labels)) == 2:
                false_positive, true_positive, _ = roc_curve(labels, values)
                axes.plot(false_positive, true_positive, color=colour, label=split)
        for point, marker in zip(operating_points, itertools.cycle("oDs^")):
            specificity, sensitivity = (
                point[rate]["value"] for rate in ("specificity", "sensitivity")
            )
            if specificity is None or sensitivity is None:
                continue
            axes.plot(
                1 - specificity,
                sensitivity,
                marker,
                color=PURPLE,
                markersize=8,
                markerfacecolor="none",
                markeredgewidth=2,
                label=f"{point['name']} (at {point['threshold']:.2f})",
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right", fontsize=8.5)
        return svg(figure, "ROC curve")


def label_charts(history: Sequence[Mapping], kept_epoch: int) -> list[str]:
    """The AUC of each label over the epochs, on validation and in training.

    Args:
      history: as in `history_charts`, with more than one label.
      kept_epoch: the epoch whose weights were kept.

    Returns:
      `<svg>` elements.
    """
    charts = []
    for split in ("validation", "train"):
        rows = [
            {
                "epoch": entry["epoch"],
                split: {n: of["auc"] for n, of in entry[split]["labels"].items()},
            }
            for entry in history
        ]
        curves = [
            Curve(name, split, name, colour)
            for name, colour in zip(rows[0][split], itertools.cycle(MANY))
        ]
        title = f"AUC of each label, {'training' if split == 'train' else split}"
        charts.append(epoch_chart(title, "AUC", rows, curves, kept_epoch))
    return charts


def label_roc_chart(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """The ROC curve of each label.

    Args:
      scores: by label, its values [n] of 0 and 1 and scores [n]; one of one class is left out.

    Returns:
      An `<svg>` element.
    """
    with chart("ROC curves", "1 - specificity", "sensitivity", (4.8, 4.6)) as (figure, axes):
        axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.35, lw=1, label="chance")
        for (name, (labels, values)), colour in zip(scores.items(), itertools.cycle(MANY)):
            if len(np.unique(labels)) == 2:
                false_positive, true_positive, _ = roc_curve(labels, values)
                axes.plot(false_positive, true_positive, color=colour, lw=1.3, label=name)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right", fontsize=7)
        return svg(figure, "ROC curves")


@contextmanager
def chart(
    title: str, xlabel: str, ylabel: str, size: tuple[float, float] = (4.8, 3.4)
) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one set of axes in the page's style; size in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        # Fixed margins line the charts of a page up, and draw twice as fast as a computed layout.
        figure.subplots_adjust(left=0.15, right=0.98, bottom=0.15, top=0.91)
        axes = figure.add_subplot(title=title, xlabel=xlabel, ylabel=ylabel)
        yield figure, axes


def svg(figure: Figure, name: str) -> str:
    """The `<svg>` element alone, its ids its own, named for a screen reader."""
    buffer = io.StringIO()
    metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    prefix = re.sub(r"\W+", "-", name.lower())
    drawn = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", drawn)
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(name)}"', 1)
