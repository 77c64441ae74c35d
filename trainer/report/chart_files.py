"""The charts of a page as files: SVG and PDF for papers, PNG where a run has drawn none."""

from collections.abc import Mapping

from etils import epath

from trainer.report.result import ResultCharts
from trainer.show.charts.chart import Chart
from trainer.show.label_tags import tags_of
from trainer.show.pictures import canvas
from trainer.system import atomic


def write(folder: epath.Path, charts: Mapping[str, Chart]) -> None:
    """Writes `TAG.svg`, `TAG.pdf` and, unless it is there, `TAG.png` of each chart.

    Args:
      folder: such as `pictures/test` of a run.
      charts: by their tags, which may have folders.
    """
    for tag, chart in charts.items():
        atomic.write_text(folder / f"{tag}.svg", chart.svg())
        atomic.write_bytes(folder / f"{tag}.pdf", chart.pdf())
        if not (drawn := folder / f"{tag}.png").exists():
            atomic.write_bytes(drawn, canvas.png(chart.pixels()))


def by_tag(charts: ResultCharts) -> dict[str, Chart]:
    """Returns the charts of an evaluation by the tags that TensorBoard has them under."""
    tags = tags_of(list(charts.labels))
    own = {
        f"{tags[label]}/{name}": chart
        for label, drawn in charts.labels.items()
        for name, chart in drawn.items()
    }
    return charts.common | own
