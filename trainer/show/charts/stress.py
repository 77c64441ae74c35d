"""How a network's figures change where images are altered."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.show.charts.chart import (
    BLUE,
    GREEN,
    PURPLE,
    Chart,
    chart,
    legend_below,
    legend_height,
)

LOOKS = {
    "auc": ("o", BLUE, "AUC"),
    "sensitivity": ("s", PURPLE, "sensitivity"),
    "specificity": ("D", GREEN, "specificity"),
}
ROW, NAMES = 0.26, 3.0  # inches: height of a row, width of the names


def stress_chart(stress: Mapping[str, Any], name: str) -> Chart:
    """Returns AUC, sensitivity and specificity for each alteration, from the mildest down.

    Args:
      stress: `unchanged` and `altered`, each figure {value, low, high}, as in an evaluation.
      name: of the evaluation.
    """
    rows = [{"name": "as they are", **stress["unchanged"]}, *stress["altered"]]
    legend, size = legend_height(1), (8.0, ROW * len(rows) + 0.8)
    with chart("Altered images", "value", "", size=size, subtitle=name, legend=legend) as (
        figure,
        axes,
    ):
        figure.subplots_adjust(left=NAMES / size[0])
        handles = []
        for place, (figure_name, (marker, colour, _)) in enumerate(LOOKS.items()):
            value, low, high = (
                np.array([row[figure_name][end] for row in rows], float)
                for end in ("value", "low", "high")
            )
            at = np.arange(len(rows)) + 0.2 * (place - 1)
            axes.hlines(at, low, high, color=colour, lw=1)
            handles += axes.plot(value, at, marker, color=colour, lw=0)
            axes.axvline(value[0], color=colour, lw=0.8, ls="--", alpha=0.6)
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5))
        names = [text for _, _, text in LOOKS.values()]
        names[-1] += "; lines: 95 % over patients; dashed: images as they are"
        legend_below(figure, handles, names, columns=3)
        return Chart(figure, f"altered images, {name}")
