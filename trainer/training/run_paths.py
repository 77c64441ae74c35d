"""Where a run is written: in --workdir, or without it where Vertex AI's environment says.

Vertex AI names three folders of a job, which lie side by side in its base output directory, or in
one folder a trial: AIP_MODEL_DIR, AIP_CHECKPOINT_DIR and AIP_TENSORBOARD_LOG_DIR.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from etils import epath

from trainer import network_names
from trainer.system.errors import UsageError

EVENTS = "tensorboard"  # in the work directory
VERTEX_FOLDERS = ("AIP_CHECKPOINT_DIR", "AIP_MODEL_DIR")  # each lies in the work directory


@dataclass(frozen=True)
class RunPaths:
    """The folders of a run.

    Attributes:
      workdir: of everything but the events.
      events: of TensorBoard's events.
    """

    workdir: epath.Path
    events: epath.Path


def network_source(workdir: epath.Path) -> epath.Path | None:
    """Returns the run's copy of the file with one's own network, None where there is none."""
    copy = workdir / network_names.SOURCE
    return copy if copy.exists() else None


def run_paths(workdir: str | None, environment: Mapping[str, str]) -> RunPaths:
    """Returns the folders of the run in `workdir`, or without one those that Vertex AI names.

    There the work directory is the folder in which AIP_CHECKPOINT_DIR lies. The events go to
    AIP_TENSORBOARD_LOG_DIR, the only folder that Vertex AI's own TensorBoard reads.

    Args:
      workdir: as the user names it.
      environment: the process's environment variables.

    Raises:
      UsageError: if neither names a folder.
    """
    if workdir:
        return RunPaths(epath.Path(workdir), epath.Path(workdir) / EVENTS)
    inside = next(filter(None, map(environment.get, VERTEX_FOLDERS)), None)
    if not inside:
        raise UsageError(
            "--workdir is missing: say where the run is written, as in --workdir=runs/first or "
            "--workdir=gs://BUCKET/runs/first."
        )
    root = epath.Path(inside).parent
    events = environment.get("AIP_TENSORBOARD_LOG_DIR")
    return RunPaths(root, epath.Path(events) if events else root / EVENTS)
