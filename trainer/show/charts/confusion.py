"""Confusion matrices: of one label, and of classes that exclude one another."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from trainer.metrics.label_result import LabelResult, point_title
from trainer.show.charts.chart import BLUE, SMALL, SQUARE, Chart, chart, plain

MOST_LARGE = 4  # classes whose names and counts have room


def confusion_chart(result: LabelResult) -> Chart:
    """Returns the matrices of all operating points, with counts and shares of the actual class."""
    classes = [plain(name, 11) for name in result.classes]
    with chart("Confusion matrix", "", "", size=(4.8, 2.9), subtitle=result.subtitle) as (
        figure,
        axes,
    ):
        left, bottom, width, height = axes.get_position().bounds
        axes.set_axis_off()
        each_width = width / len(result.operating_points)
        for number, point in enumerate(result.operating_points):
            bounds = (left + number * each_width, bottom, each_width * 0.94, height * 0.85)
            matrix = figure.add_axes(bounds)
            _matrix(matrix, result.confusion_matrix(point), classes)
            matrix.set_title(point_title(point), fontsize=9.5)
            if number == 0:
                matrix.set_yticks([0, 1], classes, rotation=90, va="center", fontsize=SMALL)
                matrix.set_ylabel("actual")
        return Chart(figure, result.chart_name("confusion matrix"))


def class_confusion_chart(counts: np.ndarray, classes: Sequence[str], split: str) -> Chart:
    """Returns the matrix of classes of which the likeliest is predicted.

    Args:
      counts: [K, K] int, rows are actual classes, columns predicted ones.
      classes: names of the K classes.
      split: "train", "validation" or "test".
    """
    names, many = [plain(name, 11) for name in classes], len(classes) > MOST_LARGE
    images = int(np.sum(counts))
    subtitle = f"{split}: the likeliest class of {images:,} images"
    below = 0.5 if many else 0.0  # for names that stand upright
    title = "Confusion of the classes"
    with chart(title, "", "", size=SQUARE, subtitle=subtitle, legend=below) as (figure, axes):
        _matrix(axes, np.asarray(counts), names)
        upright = {"rotation": 0} if many else {"rotation": 90, "va": "center"}
        axes.set_yticks(range(len(names)), names, fontsize=_size(SMALL, len(names)), **upright)
        if not many:
            axes.set_ylabel("actual")
        return Chart(figure, f"{title}, {split}")


def _size(points: float, classes: int) -> float:
    """Returns the size of a text in a matrix of so many classes."""
    return min(points, max(4.5, points * (MOST_LARGE + 2) / (classes + 2)))


def _matrix(axes: Axes, counts: np.ndarray, classes: list[str]) -> None:
    """Draws actual classes as rows and predicted ones as columns, shaded by share."""
    for row in range(len(counts)):
        for column in range(len(counts)):
            count, total = counts[row, column], counts[row].sum()
            share = count / total if total else 0.0
            shade = Rectangle(
                (column - 0.48, row - 0.48), 0.96, 0.96, color=BLUE, alpha=0.06 + 0.5 * share, lw=0
            )
            axes.add_patch(shade)
            large, small = (_size(size, len(counts)) for size in (13, SMALL))
            axes.text(column, row - 0.1, f"{count:,}", ha="center", va="center", fontsize=large)
            percent = f"{100 * share:.1f} %" if total else "no image"
            axes.text(
                column, row + 0.2, percent, ha="center", va="center", fontsize=small, alpha=0.8
            )
    end = len(counts) - 0.5
    axes.set(xlim=(-0.5, end), ylim=(end, -0.5), xlabel="predicted")
    turned = 90 if len(counts) > MOST_LARGE else 0
    size = _size(SMALL, len(counts))
    axes.set_xticks(range(len(counts)), classes, fontsize=size, rotation=turned)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
