"""The command makes the trackers that a config names, or says what they need."""

import io

import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer.commands import run_loggers
from trainer.config import schema
from trainer.system import extras
from trainer.system.errors import UsageError
from trainer.system.terminal import LiveLine

WORKDIR = epath.Path("/runs/first")


def config(loggers: str) -> ConfigDict:
    chosen = schema.default()
    chosen.loggers = loggers
    return chosen


def made(loggers: str, environment: dict[str, str]) -> list:
    line = LiveLine(io.StringIO())
    logs = run_loggers.make(config(loggers), WORKDIR, line=line, environment=environment)
    return [log._tracker for log in logs]


@pytest.mark.parametrize("extra", ["mlflow", "wandb"])
def test_an_extra_is_asked_for_only_where_a_tracker_needs_it(
    extra: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(extras, "find_spec", lambda module: None)
    run_loggers.check(config("terminal,tensorboard"))
    sentence = rf"loggers=terminal,{extra} needs {extra}, .* 'radiograph-trainer\[{extra}\]'"
    with pytest.raises(UsageError, match=sentence):
        run_loggers.check(config(f"terminal,{extra}"))
    with pytest.raises(UsageError, match=sentence):
        made(f"terminal,{extra}", {})


def test_a_folder_of_mlflow_lies_beside_the_runs_and_a_server_is_the_environments():
    environment = {}
    (tracker,) = made("mlflow", environment)
    assert tracker._uri == "file:///runs/mlruns"
    assert environment == {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
    tracker, other = made("mlflow,wandb", {"MLFLOW_TRACKING_URI": "http://a", "WANDB_DIR": "/w"})
    assert (tracker._uri, other._folder, other._project) == ("http://a", "/w", run_loggers.NAME)


def test_a_run_in_a_bucket_needs_a_tracking_server(monkeypatch: pytest.MonkeyPatch):
    bucket = epath.Path("gs://bucket/run")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UsageError, match="loggers=mlflow needs a tracking server for a run in gs:"):
        run_loggers.check(config("mlflow"), bucket)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://a")
    run_loggers.check(config("mlflow"), bucket)
