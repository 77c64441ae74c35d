"""All charts of one label of one evaluated split."""

from trainer.metrics.label_result import LabelResult
from trainer.show.charts.chart import Chart
from trainer.show.charts.confusion import confusion_chart
from trainer.show.charts.precision_recall import precision_recall_chart
from trainer.show.charts.reliability import calibration_chart
from trainer.show.charts.roc import roc_chart
from trainer.show.charts.score_distribution import scores_chart

BOTH = {
    "roc": roc_chart,
    "precision_recall": precision_recall_chart,
    "calibration": calibration_chart,
}
ANY = {"scores": scores_chart, "confusion": confusion_chart}


def label_charts(result: LabelResult) -> dict[str, Chart]:
    """Returns the charts by name.

    Names are `roc`, `precision_recall`, `calibration`, `scores` and `confusion`. Where one class
    is missing, those that need both are left out, and all of them where there is no image.
    """
    charts = BOTH | ANY if result.has_both_classes else ANY
    return {name: draw(result) for name, draw in charts.items() if len(result.labels)}
