"""Decision curve: what acting on a prediction is worth, at any risk from which one would act."""

from collections.abc import Mapping, Sequence

import numpy as np

from trainer.show.charts.chart import BLUE, GREEN, INK, Chart, chart, legend_below, legend_height

LOWEST = -0.05  # net benefit shown; acting on everyone falls without end


def decision_curve_chart(points: Sequence[Mapping], label: str, split: str) -> Chart:
    """Returns the net benefit of the network, of acting on everyone, and of acting on none.

    Source: Vickers and Elkin, Medical Decision Making 26:565 (2006).

    Args:
      points: of one label, each {risk, net_benefit: {value, low, high}, all}.
      label: its name.
      split: name of the evaluation.
    """
    risk = np.array([point["risk"] for point in points])
    value, low, high = (
        np.array([point["net_benefit"][end] for point in points], float)
        for end in ("value", "low", "high")
    )
    everyone = np.array([point["all"] for point in points], float)
    title, legend = "Decision curve", legend_height(3)
    axes_names = ("risk from which one would act", "net benefit")
    with chart(title, *axes_names, subtitle=f"{split}: {label}", legend=legend) as (figure, axes):
        shade = axes.fill_between(risk, low, high, color=BLUE, alpha=0.2, lw=0)
        (line,) = axes.plot(risk, value, color=BLUE)
        (all_line,) = axes.plot(risk, everyone, "--", color=GREEN, lw=1.3)
        (none_line,) = axes.plot([0, 1], [0, 0], "--", color=INK, alpha=0.35, lw=1)
        top = max(np.nanmax(high, initial=0.0), np.nanmax(everyone, initial=0.0), 0.05)
        axes.set(xlim=(0, 1), ylim=(LOWEST, 1.05 * top))
        names = ["calibrated probability; band: 95 % over patients", "everyone", "none"]
        legend_below(figure, [(shade, line), all_line, none_line], names)
        return Chart(figure, f"{label}: decision curve, {split}")
