"""The page of an evaluation on another data set: one self-contained HTML file."""

from collections.abc import Mapping
from typing import Any

from etils import epath

from trainer.metrics import evaluation_files, subgroups
from trainer.report import page
from trainer.report.result import result_charts
from trainer.report.sentence import result_sentence
from trainer.show.charts.decision_curve import decision_curve_chart
from trainer.show.charts.stress import stress_chart
from trainer.system import atomic

# Figures by name: what a reader calls them.
WHOLE = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "sensitivity_at_specificity_80": "Sensitivity at 80 % specificity",
    "sensitivity_at_specificity_90": "Sensitivity at 90 % specificity",
    "sensitivity_at_specificity_95": "Sensitivity at 95 % specificity",
    "specificity_at_sensitivity_80": "Specificity at 80 % sensitivity",
    "specificity_at_sensitivity_90": "Specificity at 90 % sensitivity",
    "specificity_at_sensitivity_95": "Specificity at 95 % sensitivity",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
    "calibration_slope": "Calibration slope (1 is perfect)",
    "calibration_intercept": "Calibration intercept (0 is perfect)",
}
DECISION = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "Positive predictive value",
    "npv": "Negative predictive value",
    "ppv_at_prevalence": "PPV at a prevalence of {prevalence:.0%}",
    "npv_at_prevalence": "NPV at a prevalence of {prevalence:.0%}",
    "f1": "F1",
    "mcc": "Matthews correlation",
}


def write(folder: epath.Path, name: str) -> epath.Path:
    """Writes the page of an evaluation from its files, in place of an older one.

    Args:
      folder: in which `evaluation/NAME.json` and `.csv` lie.
      name: of the evaluation.

    Returns:
      `evaluation/NAME.html`.

    Raises:
      UsageError: one of the files cannot be read.
    """
    content = evaluation_files.read(folder, name)
    html = page.template("evaluation.html.j2").render(_content(folder, name, content))
    return atomic.write_text(folder / evaluation_files.FOLDER / f"{name}.html", html)


def _content(folder: epath.Path, name: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of the template."""
    results = evaluation_files.read_label_results(folder, name)
    charts = result_charts(content, results)
    for result in results:
        if result.name in charts.labels and result.has_both_classes:
            curve = content["labels"][result.name]["decision_curve"]
            drawn = decision_curve_chart(curve, result.name, result.split)
            charts.labels[result.name]["decision_curve"] = drawn
    decision = {
        key: text.format(prevalence=content["prevalence"]) for key, text in DECISION.items()
    }
    return {
        "name": name,
        "evaluation": content,
        "own": content["own_test"],
        "whole": WHOLE,
        "decision": decision,
        "all_figures": WHOLE | decision,
        "fewest": subgroups.FEWEST,
        "sentence": result_sentence(content),
        "drawn": charts.svgs(),
        "stress_charts": page.svgs([stress_chart(content["stress"], name)])
        if content.get("stress")
        else [],
    }
