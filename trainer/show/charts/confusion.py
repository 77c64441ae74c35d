"""Confusion matrices of one label."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from trainer.metrics.label_result import LabelResult, point_title
from trainer.show.charts.chart import BLUE, SMALL, Chart, chart, plain


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


def _matrix(axes: Axes, counts: np.ndarray, classes: list[str]) -> None:
    """Draws actual classes as rows and predicted ones as columns, shaded by share."""
    for row in range(2):
        for column in range(2):
            count, total = counts[row, column], counts[row].sum()
            share = count / total if total else 0.0
            shade = Rectangle(
                (column - 0.48, row - 0.48), 0.96, 0.96, color=BLUE, alpha=0.06 + 0.5 * share, lw=0
            )
            axes.add_patch(shade)
            axes.text(column, row - 0.1, f"{count:,}", ha="center", va="center", fontsize=13)
            percent = f"{100 * share:.1f} %" if total else "no image"
            axes.text(
                column, row + 0.2, percent, ha="center", va="center", fontsize=SMALL, alpha=0.8
            )
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), xlabel="predicted")
    axes.set_xticks([0, 1], classes, fontsize=SMALL)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
