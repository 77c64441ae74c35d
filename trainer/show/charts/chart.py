"""One chart: its style, its margins and its legend, as SVG, as PDF and as pixels."""

import dataclasses
import functools
import html
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

BLUE, ORANGE, GREEN, PURPLE = "#3d85c6", "#e07b39", "#3a9d6e", "#9b6bc4"
# Colour and line of each of many curves.
MANY = tuple(
    (to_hex(colour), line)
    for line in ("-", "--", ":")
    for colour in matplotlib.color_sequences["tab10"]
)
# Stands for the page's text colour; becomes `currentColor` in the SVG.
INK = "#010203"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "trainer",
    "text.parse_math": False,  # names from the data are no formulas
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
# Marker and colour of each operating point.
POINTS = (("o", PURPLE), ("D", GREEN), ("s", ORANGE), ("^", INK))
LEFT, RIGHT, BOTTOM, TOP = 0.72, 0.1, 0.51, 0.31  # margins, in inches
SQUARE = (4.8, 4.8)  # size of a chart whose axes are as wide as high
SMALL = 8.5  # points
NAME_SIZE, LONGEST_END = 7.5, 24  # of names at the ends of lines: points, characters
LONGEST = 40  # characters of a name from the data


@dataclasses.dataclass
class Chart:
    """A drawn chart.

    Attributes:
      figure: of Matplotlib.
      name: unique on its page; read by screen readers.
    """

    figure: Figure
    name: str

    def svg(self) -> str:
        """Returns the `<svg>` element, with ids that are unique on a page."""
        return self._svg

    @functools.cached_property
    def _svg(self) -> str:
        buffer = io.StringIO()
        metadata = dict.fromkeys(["Creator", "Date", "Format", "Type"])
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
        drawn = buffer.getvalue()
        drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
        prefix = re.sub(r"\W+", "-", self.name.lower())
        drawn = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}-", drawn)
        return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(self.name)}"', 1)

    def pdf(self) -> bytes:
        """Returns the chart as a PDF file, the same for the same chart."""
        buffer = io.BytesIO()
        metadata = dict.fromkeys(["Creator", "Producer", "CreationDate"])
        with matplotlib.rc_context(STYLE):
            self.figure.savefig(buffer, format="pdf", transparent=True, metadata=metadata)
        return buffer.getvalue()

    def pixels(self, width: int = 720) -> np.ndarray:
        """Returns the chart on white: [H, width, 3] uint8."""
        with matplotlib.rc_context(STYLE):
            # A little more than the width, which would otherwise be rounded down by a pixel.
            self.figure.set_dpi((width + 0.01) / self.figure.get_figwidth())
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@contextmanager
def chart(
    title: str,
    xlabel: str,
    ylabel: str,
    *,
    size: tuple[float, float] = (4.8, 3.4),
    subtitle: str = "",
    legend: float = 0.0,
    right: float = RIGHT,
) -> Iterator[tuple[Figure, Axes]]:
    """Yields a figure with one set of axes in the style of the pages.

    Args:
      title: heading.
      xlabel: what the horizontal axis shows, and its unit.
      ylabel: what the vertical axis shows, and its unit.
      size: width and height in inches, without the second heading and the legend.
      subtitle: a second, smaller heading.
      legend: height of the legend in inches, see `legend_below`.
      right: width of the right margin in inches, see `name_ends`.
    """
    with matplotlib.rc_context(STYLE):
        width, height = size
        above = 0.19 if subtitle else 0.0
        height += above + legend
        figure = Figure(figsize=(width, height))
        # Fixed margins line the charts of a page up, and draw twice as fast as a computed layout.
        figure.subplots_adjust(
            left=LEFT / width,
            right=1 - right / width,
            bottom=(BOTTOM + legend) / height,
            top=1 - (TOP + above) / height,
        )
        axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel)
        axes.set_title(title, pad=6 + 72 * above)
        if subtitle:
            axes.annotate(
                subtitle,
                (0, 1),
                (0, 6),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=SMALL,
                alpha=0.75,
            )
        yield figure, axes


def legend_height(rows: int, size: float = SMALL) -> float:
    """Returns the height of a legend with that many rows, in inches."""
    return (1.5 * size * rows + 4) / 72 if rows else 0.0


def legend_below(
    figure: Figure,
    handles: Sequence[Any],
    names: Sequence[str],
    *,
    columns: int = 1,
    size: float = SMALL,
) -> None:
    """Places a legend below the axes, where it covers no curve."""
    figure.legend(
        handles,
        [plain(name, longest=100) for name in names],
        loc="lower left",
        bbox_to_anchor=(LEFT / figure.get_figwidth(), 0),
        ncols=columns,
        fontsize=size,
        borderaxespad=0,
        borderpad=0.3,
        columnspacing=1.5,
    )


def ends_width(names: Sequence[str]) -> float:
    """Returns the width of the right margin in which `name_ends` writes the names, in inches."""
    return 0.25 + 0.6 * NAME_SIZE * max(len(plain(name, LONGEST_END)) for name in names) / 72


def ends_height(count: int) -> float:
    """Returns the height that so many names at the ends of lines need, in inches."""
    return 1.3 * NAME_SIZE * count / 72


def name_ends(axes: Axes, lines: Sequence[Line2D], names: Sequence[str]) -> None:
    """Writes the name of each line behind its last point, as far apart as they must be."""
    bottom, top = axes.get_ylim()
    pitch = ends_height(1) * axes.figure.dpi / axes.bbox.height * (top - bottom)
    ends = {n: _last_point(line, bottom) for n, line in enumerate(lines)}
    order = sorted(ends, key=lambda n: ends[n][1])
    places = np.array([ends[n][1] for n in order])
    steps = pitch * np.arange(len(order))
    # From below each name moves up as far as it must, then all that are too high move down.
    places = steps + np.maximum.accumulate(places - steps)
    highest = top - pitch / 2 - steps[::-1]
    places = np.minimum(places, highest)
    right = axes.get_xlim()[1]
    for n, y in zip(order, places, strict=True):
        colour, (x, end) = lines[n].get_color(), ends[n]
        axes.plot([x, right], [end, y], color=colour, lw=0.6, alpha=0.6, clip_on=False)
        axes.annotate(
            plain(names[n], LONGEST_END),
            (right, y),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=NAME_SIZE,
            annotation_clip=False,
        )


def _last_point(line: Line2D, otherwise: float) -> tuple[float, float]:
    """Returns the last point of a line that is known, at another height where none is."""
    x, y = (np.asarray(values, float) for values in line.get_data())
    known = np.flatnonzero(np.isfinite(y))
    return (x[known[-1]], y[known[-1]]) if known.size else (x[-1], otherwise)


def mark(axes: Axes, point: tuple[float, float], look: tuple[str, str]) -> list[Line2D]:
    """Marks an operating point, with a look from `POINTS`."""
    marker, colour = look
    style: dict[str, Any] = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 2}
    return axes.plot(*point, marker, color=colour, clip_on=False, **style)


def plain(text: str, longest: int = LONGEST) -> str:
    """Returns a name from the data, shortened; a "_" in front would hide it in a legend."""
    text = text.lstrip("_")
    return text if len(text) <= longest else text[: longest - 1] + "…"
