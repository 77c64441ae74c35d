"""MLflow: a run there for each run here, on a tracking server or in a folder."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from etils import epy

from trainer.show.tracker import Description, Point, Tracker
from trainer.system import atomic, json_files

with epy.lazy_imports():  # of the extra
    import mlflow
    from mlflow import entities

RECORD = "mlflow.json"  # in the work directory: which run of MLflow it is
MOST_METRICS, MOST_PARAMETERS = 1000, 100  # of a call
LONGEST_NAME, LONGEST = 250, 6000  # of a curve, and of a value


class MlflowTracker(Tracker):
    """Keeps a run in MLflow.

    A run that goes on does so in the same run of MLflow. What that has of a curve is asked for
    first: no step is logged twice.

    Args:
      uri: of the tracking server, or of a folder as `file:///...`.
      experiment: name of the experiment; it is made where there is none.
    """

    name = "mlflow"

    def __init__(self, uri: str, experiment: str):
        self._uri, self._experiment = uri, experiment

    def begin(self, run: Description) -> str:
        """Makes the run, or opens the one that the work directory names."""
        self._client = client = mlflow.MlflowClient(self._uri)
        self._logged_steps = cache(self._read_logged_steps)
        file = run.workdir / RECORD
        record = json_files.read(file) if file.exists() else {}
        if record.get("tracking_uri") == self._uri:
            self._id = record["run_id"]
            client.update_run(self._id, status="RUNNING")
        else:
            made = client.create_run(self._experiment_id(), run_name=run.name)
            self._id = made.info.run_id
            atomic.write_json(file, {"tracking_uri": self._uri, "run_id": self._id})
        found = client.get_run(self._id)
        self._describe(run, found.data.params)
        if self._uri.startswith("file:"):
            return f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri={self._uri}"
        return f"{self._uri}/#/experiments/{found.info.experiment_id}/runs/{self._id}"

    def log(self, first: int, points: Sequence[Point]) -> None:
        """Logs what the run does not have yet."""
        del first
        metrics = [
            entities.Metric(key, value, int(1000 * point.seconds), point.step)
            for point in points
            for key, value in ((_allowed(name), value) for name, value in point.values.items())
            if point.step not in self._logged_steps(key)
        ]
        for begin in range(0, len(metrics), MOST_METRICS):
            part = metrics[begin : begin + MOST_METRICS]
            self._client.log_batch(self._id, metrics=part)
            for metric in part:
                self._logged_steps(metric.key).add(metric.step)

    def files(self, folder: Path, names: Sequence[str]) -> None:
        """Keeps them as artifacts in the same folders."""
        for name in names:
            parent = str(Path(name).parent)
            self._client.log_artifact(self._id, str(folder / name), "" if parent == "." else parent)

    def end(self, error: BaseException | None) -> None:
        """Marks the run as finished, or as killed where an error ended it."""
        self._client.set_terminated(self._id, "KILLED" if error else "FINISHED")

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        return found.experiment_id if found else self._client.create_experiment(self._experiment)

    def _describe(self, run: Description, known: dict[str, str]) -> None:
        """Logs settings as parameters, which never change: one that has is a tag as well."""
        settings = {name: str(value)[:LONGEST] for name, value in run.settings.items()}
        new = [entities.Param(name, value) for name, value in settings.items() if name not in known]
        changed = {n: v for n, v in settings.items() if known.get(n, v) != v}
        tags = {
            **run.tags,
            "mlflow.source.name": "radiograph train",
            "mlflow.source.git.commit": run.tags["git_commit"],
            **{f"changed.{name}": value for name, value in changed.items()},
        }
        self._client.log_batch(self._id, tags=[entities.RunTag(*tag) for tag in tags.items()])
        for begin in range(0, len(new), MOST_PARAMETERS):
            self._client.log_batch(self._id, params=new[begin : begin + MOST_PARAMETERS])

    def _read_logged_steps(self, key: str) -> set[int]:
        history: list[Any] = self._client.get_metric_history(self._id, key)
        return {metric.step for metric in history}


def _allowed(name: str) -> str:
    """Returns the name of a curve in the characters and the length that MLflow allows."""
    return "".join(c if c.isalnum() or c in "_-./ :" else "_" for c in name)[:LONGEST_NAME]
