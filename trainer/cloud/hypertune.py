"""Reports a trial's metric to Vertex AI's hyperparameter tuning, in a file of JSON lines.

The file has the format of the package cloudml-hypertune 0.1.0.dev6, which the service reads.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

METRIC = "validation_auc"
DEFAULT_FILE = "/tmp/hypertune/output.metrics"
KEPT = 100  # newest measurements in the file


@dataclass(frozen=True)
class Trial:
    """The trial of a tuning that this process runs.

    Attributes:
      number: of the trial, counted by the service.
      file: from which the service reads measurements.
    """

    number: str
    file: Path
    _lines: list[str] = field(default_factory=list, init=False, repr=False)

    def report(self, auc: float | None, epoch: int) -> None:
        """Reports a validation AUC after an epoch; one that is not defined is left out."""
        if auc is None:
            return
        measurement = {
            "timestamp": time.time(),
            "trial": self.number,
            METRIC: str(float(auc)),
            "global_step": str(epoch),
            "checkpoint_path": "",
        }
        self._lines.append(json.dumps(measurement, sort_keys=True) + "\n")
        del self._lines[:-KEPT]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("".join(self._lines))  # in place, as the service may have it open


def from_environment(environment: Mapping[str, str]) -> Trial | None:
    """Returns the trial that the environment describes, or None if this is no tuning."""
    number, file = (environment.get(f"CLOUD_ML_{name}") for name in ("TRIAL_ID", "HP_METRIC_FILE"))
    if not number and not file:
        return None
    return Trial(number or "0", Path(file or DEFAULT_FILE))
