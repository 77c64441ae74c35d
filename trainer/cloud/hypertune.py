"""What a trial tells Vertex AI's hyperparameter tuning: a file of measurements, a JSON a line.

The service reads the file as the package cloudml-hypertune 0.1.0.dev6 writes it.
"""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

METRIC = "validation_auc"
DEFAULT_FILE = "/tmp/hypertune/output.metrics"
NEWEST = 100  # measurements that are kept in the file


@dataclass(frozen=True)
class Trial:
    """The trial of a tuning that this process runs.

    Attributes:
      number: as the service counts.
      file: where it looks for measurements.
    """

    number: str
    file: Path
    _lines: list[str] = field(default_factory=list, init=False, repr=False)

    def report(self, auc: float | None, epoch: int) -> None:
        """Reports the validation AUC after an epoch; one that is not defined is left out."""
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
        del self._lines[:-NEWEST]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("".join(self._lines))  # in place, as the service may have it open


def from_environment() -> Trial | None:
    """Returns the trial that the service's variables name, or None where nothing is tuned."""
    number, file = (os.environ.get(f"CLOUD_ML_{name}") for name in ("TRIAL_ID", "HP_METRIC_FILE"))
    if not number and not file:
        return None
    return Trial(number or "0", Path(file or DEFAULT_FILE))
