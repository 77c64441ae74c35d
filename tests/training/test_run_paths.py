"""A run is written to --workdir, or without it where Vertex AI's environment says."""

import pytest

from trainer.system.errors import UsageError
from trainer.training.run_paths import RunPaths, run_paths

VERTEX = {
    "AIP_MODEL_DIR": "gs://b/runs/x/model/",
    "AIP_CHECKPOINT_DIR": "gs://b/runs/x/checkpoints/",
    "AIP_TENSORBOARD_LOG_DIR": "gs://b/runs/x/logs/",
}


def folders(paths: RunPaths) -> tuple[str, str]:
    return str(paths.workdir), str(paths.events)


@pytest.mark.parametrize("workdir", ["runs/y", "gs://b/runs/y", "gs://b/runs/y/"])
@pytest.mark.parametrize("environment", [{}, VERTEX])
def test_workdir_holds_everything(workdir: str, environment: dict):
    root = workdir.rstrip("/")
    assert folders(run_paths(workdir, environment)) == (root, f"{root}/tensorboard")


def test_vertex_ai_names_the_folder_and_where_it_reads_events():
    assert folders(run_paths(None, VERTEX)) == ("gs://b/runs/x", "gs://b/runs/x/logs")


@pytest.mark.parametrize("name", ["AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR"])
def test_one_folder_of_vertex_ai_is_enough(name: str):
    found = folders(run_paths(None, {name: VERTEX[name]}))
    assert found == ("gs://b/runs/x", "gs://b/runs/x/tensorboard")


@pytest.mark.parametrize("workdir", [None, ""])
def test_without_workdir_and_vertex_ai_the_flag_is_asked_for(workdir: str | None):
    with pytest.raises(UsageError):
        run_paths(workdir, {"AIP_CHECKPOINT_DIR": ""})
