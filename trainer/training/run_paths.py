"""Where a run lies: as --workdir names it, or as Vertex AI's environment does without one.

Vertex AI names three folders of a job, which lie side by side in its base output directory, or in
one folder a trial there: AIP_MODEL_DIR, AIP_CHECKPOINT_DIR and AIP_TENSORBOARD_LOG_DIR.
"""

import os
from dataclasses import dataclass

from etils import epath

from trainer.system.errors import UsageError

EVENTS = "tensorboard"  # in the work directory


@dataclass(frozen=True)
class RunPaths:
    """Where a run is written.

    Attributes:
      workdir: all of it but the events.
      events: what TensorBoard reads.
    """

    workdir: epath.Path
    events: epath.Path


def from_environment(workdir: str | None) -> RunPaths:
    """Returns the places of the run in `workdir`, or without one of the run that Vertex AI started.

    There the work directory is the folder in which AIP_CHECKPOINT_DIR lies. The events go to
    AIP_TENSORBOARD_LOG_DIR, the only place that Vertex AI's own TensorBoard reads.

    Raises:
      UsageError: if nothing tells.
    """
    if workdir:
        return RunPaths(epath.Path(workdir), epath.Path(workdir) / EVENTS)
    inside = os.environ.get("AIP_CHECKPOINT_DIR") or os.environ.get("AIP_MODEL_DIR")
    if not inside:
        raise UsageError(
            "--workdir is missing: say where the run is written, as in --workdir=runs/first or "
            "--workdir=gs://BUCKET/runs/first."
        )
    root = epath.Path(inside).parent
    events = os.environ.get("AIP_TENSORBOARD_LOG_DIR")
    return RunPaths(root, epath.Path(events) if events else root / EVENTS)
