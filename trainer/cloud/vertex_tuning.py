"""A sweep as a study of Vertex AI's hyperparameter tuning.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/StudySpec
"""

from typing import Any

from trainer.cloud.hypertune import METRIC
from trainer.tuning.search_space import Range, Sweep


def study(sweep: Sweep) -> dict[str, Any]:
    """Returns a StudySpec that maximises the validation AUC of what each trial keeps.

    A trial's last measurement is that, see `trainer.show.trial_log`. The service starts each trial
    with `--PARAMETER=VALUE` added to its flags, so a parameter has the name of the flag that
    overrides the field.

    Args:
      sweep: the fields that vary.
    """
    return {
        "metrics": [{"metricId": METRIC, "goal": "MAXIMIZE"}],
        "parameters": [
            {"parameterId": f"config.{path}", **_values(sweep[path])} for path in sorted(sweep)
        ],
        "measurementSelectionType": "LAST_MEASUREMENT",
    }


def _values(field_range: Range) -> dict[str, Any]:
    if field_range.kind == "choice":
        # Not as discreteValueSpec: the service would write whole numbers as 16.0.
        return {"categoricalValueSpec": {"values": [_text(value) for value in field_range.values]}}
    low, high = field_range.values
    if field_range.kind == "integer":
        values = {"minValue": str(low), "maxValue": str(high)}  # an int64 in JSON is a string
        return {"integerValueSpec": values, "scaleType": "UNIT_LINEAR_SCALE"}
    scale = "UNIT_LOG_SCALE" if field_range.kind == "log_uniform" else "UNIT_LINEAR_SCALE"
    return {"doubleValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}


def _text(value: float | int | str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
