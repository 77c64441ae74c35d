"""`model.json`: the layers of the network, for whoever has no TensorFlow at hand."""

from collections.abc import Mapping
from typing import Any

from trainer.models import layer_table
from trainer.show.logger import Logger
from trainer.system import atomic
from trainer.training.progress import Progress
from trainer.training.run import Run


class ModelFile(Logger):
    """Writes `model.json` into the work directory, see `layer_table.summary`."""

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Writes the file, also for a run of an earlier version that had none."""
        atomic.write_json(run.workdir / "model.json", layer_table.summary(run.state.model))
