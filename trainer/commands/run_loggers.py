"""The trackers that a run's config names, made from the environment of the process."""

import os
from collections.abc import Iterator, MutableMapping

from etils import epath, epy
from ml_collections import ConfigDict

from trainer.cloud import hypertune
from trainer.system import extras, gcs
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine

with epy.lazy_imports():  # TensorFlow
    from trainer.show import logger, mlflow_tracker, tracker_log, trial_log, wandb_tracker

NAME = "radiograph-trainer"  # of MLflow's experiment and W&B's project


def check(config: ConfigDict, workdir: epath.Path | None = None) -> None:
    """Raises a UsageError where what a named logger needs is not installed, or not set.

    Args:
      config: of the run.
      workdir: of the run, where it is known.
    """
    names = config.loggers.split(",")
    for name in ("mlflow", "wandb"):
        if name in names:
            extras.require(name, name, purpose=f"loggers={config.loggers}")
    if "mlflow" in names and workdir and gcs.is_gcs(workdir) and not _tracking_uri(os.environ):
        raise UsageError(
            f"loggers={config.loggers} needs a tracking server for a run in {workdir}: set "
            "MLFLOW_TRACKING_URI, as to https://HOST."
        )


def make(
    config: ConfigDict,
    workdir: epath.Path,
    *,
    line: LiveLine,
    environment: MutableMapping[str, str] = os.environ,
) -> Iterator["logger.Logger"]:
    """Yields the loggers that `train_and_evaluate` is given; it asks for them on the chief alone.

    Args:
      config: of the run.
      workdir: of the run.
      line: of the terminal.
      environment: the process's environment variables. What the trackers' libraries would do
        unasked is switched off there.

    Raises:
      UsageError: as `check` does.
    """
    check(config, workdir)
    names = config.loggers.split(",")
    if trial := hypertune.from_environment(environment):
        yield trial_log.TrialLog(trial.report)
    if "mlflow" in names:
        environment.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        uri = _tracking_uri(environment)
        if not uri:
            uri = f"file://{os.path.abspath(workdir.parent)}/mlruns"
            # Without SQLAlchemy there is no other store, and MLflow wants to be asked for it.
            environment.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        experiment = environment.get("MLFLOW_EXPERIMENT_NAME") or NAME
        tracker = mlflow_tracker.MlflowTracker(uri, experiment)
        yield tracker_log.TrackerLog(tracker, line)
    if "wandb" in names:
        folder = environment.get("WANDB_DIR")
        project = environment.get("WANDB_PROJECT") or NAME
        yield tracker_log.TrackerLog(wandb_tracker.WandbTracker(project, folder), line)


def _tracking_uri(environment: MutableMapping[str, str]) -> str | None:
    return environment.get("MLFLOW_TRACKING_URI")
