"""What a page shows of one evaluation: its sentence, and its charts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer.metrics.label_result import LabelResult
from trainer.report import page
from trainer.show.charts.chart import Chart
from trainer.show.charts.confusion import class_confusion_chart
from trainer.show.charts.label_charts import label_charts
from trainer.show.charts.roc import label_roc_chart

LABELS_CHARTED = 20  # labels with charts: a page with more would be slow to open


class ResultCharts(NamedTuple):
    """The charts of one evaluation, for `result_macros.j2`.

    Attributes:
      labels: name of a label -> name of a chart -> the chart, see `label_charts`.
      common: of all labels or classes together; none where there is one label.
    """

    labels: dict[str, dict[str, Chart]]
    common: dict[str, Chart]

    def svgs(self) -> dict[str, Any]:
        """Returns the same as SVG elements."""
        labels = {
            name: dict(zip(own, page.svgs(own.values()), strict=True))
            for name, own in self.labels.items()
        }
        return {"labels": labels, "common": page.svgs(self.common.values())}


def result_charts(evaluation: Mapping[str, Any], results: Sequence[LabelResult]) -> ResultCharts:
    """Returns charts of each label, as many as can be shown, and of several labels common ones.

    Args:
      evaluation: content of `evaluation/NAME.json`.
      results: of each label, see `evaluation_files.read_label_results`.
    """
    common = {}
    if len(results) > 1 and any(result.has_both_classes for result in results):
        common["roc"] = label_roc_chart(results)
    if evaluation.get("exclusive"):
        names, split = list(evaluation["labels"]), results[0].split
        common["confusion"] = class_confusion_chart(evaluation["confusion"], names, split)
    labels = {result.name: label_charts(result) for result in results[:LABELS_CHARTED]}
    return ResultCharts(labels, common)
