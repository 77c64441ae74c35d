"""The calibration chart: how often images with similar probabilities are positive."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import PercentFormatter

from trainer.metrics import calibration
from trainer.metrics.label_result import LabelResult
from trainer.show.charts.chart import BLUE, INK, ORANGE, Chart, chart, legend_below, legend_height

GAP, LOW = 0.06, 0.24  # heights: between the axes, and of the lower one, as shares of all


def calibration_chart(result: LabelResult) -> Chart:
    """Returns the reliability of one label, uncalibrated and at its temperature.

    Below it is a histogram of the probabilities.
    """
    variants = [("uncalibrated", result.probability, BLUE, "o")]
    if result.temperature != 1:
        name = f"at temperature {result.temperature:.2f}"
        variants.append((name, result.calibrated, ORANGE, "D"))
    share = f"share with {result.name}" if len(result.name) < 20 else "share of positives"
    title, size, legend = "Calibration", (4.8, 5.2), legend_height(1 + len(variants))
    with chart(title, "", share, size=size, subtitle=result.subtitle, legend=legend) as (
        figure,
        axes,
    ):
        left, bottom, width, height = axes.get_position().bounds
        axes.set_position((left, bottom + (GAP + LOW) * height, width, (1 - GAP - LOW) * height))
        below = figure.add_axes((left, bottom, width, LOW * height), sharex=axes)
        handles: list[Any] = []
        names = []
        for name, probability, colour, marker in variants:
            bins = calibration.reliability(probability, result.labels)
            handles.append(_reliability(axes, bins, colour=colour, marker=marker))
            error = calibration.expected_calibration_error(probability, result.labels)
            names.append(f"{name}: calibration error (ECE) {error:.3f}")
            edges = np.linspace(0, 1, 21)
            shares = np.histogram(probability, edges)[0] / len(probability)
            below.stairs(shares, edges, color=colour, lw=1.4)
        handles += axes.plot([0, 1], [0, 1], "--", color=INK, alpha=0.35, lw=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        below.set(xlabel="predicted probability", ylabel="images", ylim=(0, None))
        below.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.tick_params(labelbottom=False)
        legend_below(figure, handles, [*names, "perfect; bars: 95 % intervals"])
        return Chart(figure, result.chart_name("calibration"))


def _reliability(
    axes: Axes, bins: calibration.Reliability, *, colour: str, marker: str
) -> ErrorbarContainer:
    """Draws the bins that are not empty, with their intervals."""
    errors = np.abs(np.stack([bins.low, bins.high]) - bins.observed)
    return axes.errorbar(
        bins.predicted,
        bins.observed,
        errors,
        marker=marker,
        color=colour,
        lw=1.4,
        elinewidth=1.1,
        capsize=2,
    )
