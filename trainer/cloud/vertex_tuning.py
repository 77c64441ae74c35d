"""A sweep as Vertex AI's hyperparameter tuning takes it.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

from typing import Any

from trainer.cloud.hypertune import METRIC
from trainer.tuning.search_space import Range, Sweep


def study(sweep: Sweep) -> dict[str, Any]:
    """Returns a StudySpec: validation AUC is maximised, and a trial counts by its best epoch.

    The service starts each trial with `--PARAMETER=VALUE` added to its flags, so that a parameter
    is called as the flag that overrides the field.
    """
    return {
        "metrics": [{"metricId": METRIC, "goal": "MAXIMIZE"}],
        "parameters": [
            {"parameterId": f"config.{path}", **_values(sweep[path])} for path in sorted(sweep)
        ],
        "measurementSelectionType": "BEST_MEASUREMENT",
    }


def _values(of: Range) -> dict[str, Any]:
    if of.kind == "choice":
        # Not as discreteValueSpec: the service would write whole numbers as 16.0.
        return {"categoricalValueSpec": {"values": [_text(value) for value in of.values]}}
    low, high = of.values
    if of.kind == "integer":
        values = {"minValue": str(low), "maxValue": str(high)}  # an int64 in JSON is a string
        return {"integerValueSpec": values, "scaleType": "UNIT_LINEAR_SCALE"}
    scale = "UNIT_LOG_SCALE" if of.kind == "log_uniform" else "UNIT_LINEAR_SCALE"
    return {"doubleValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def _text(value: float | int | str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
