"""All charts of one label of one evaluated split."""

from trainer.metrics.label_result import LabelResult
from trainer.show.charts.chart import Chart
from trainer.show.charts.confusion import confusion_chart
from trainer.show.charts.precision_recall import precision_recall_chart
from trainer.show.charts.reliability import calibration_chart
from trainer.show.charts.roc import roc_chart
from trainer.show.charts.score_distribution import scores_chart

BOTH_CLASSES = {
    "roc": roc_chart,
    "precision_recall": precision_recall_chart,
    "calibration": calibration_chart,
}
ANY_CLASS = {"scores": scores_chart, "confusion": confusion_chart}


def label_charts(result: LabelResult) -> dict[str, Chart]:
    """Returns the charts by name.

    Names are `roc`, `precision_recall`, `calibration`, `scores` and `confusion`. Where one class
    is missing, the charts that need both are left out; without images, all are.
    """
    charts = BOTH_CLASSES | ANY_CLASS if result.has_both_classes else ANY_CLASS
    return {name: draw(result) for name, draw in charts.items() if len(result.labels)}
