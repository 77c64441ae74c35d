"""A run lies where --workdir says, or without it where Vertex AI's environment does."""

import pytest

from trainer.system.errors import UsageError
from trainer.training import run_paths

VERTEX = {
    "AIP_MODEL_DIR": "gs://b/runs/x/model/",
    "AIP_CHECKPOINT_DIR": "gs://b/runs/x/checkpoints/",
    "AIP_TENSORBOARD_LOG_DIR": "gs://b/runs/x/logs/",
}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch):
    for name in VERTEX:
        monkeypatch.delenv(name, raising=False)


def found(
    monkeypatch: pytest.MonkeyPatch, workdir: str | None, names: list[str], trial: str = ""
) -> tuple[str, str]:
    """The work directory and the folder of events, where so many of the variables are set."""
    for name in names:
        monkeypatch.setenv(name, VERTEX[name].replace("/x/", f"/x/{trial}"))
    place = run_paths.from_environment(workdir)
    return str(place.workdir), str(place.events)


@pytest.mark.parametrize("workdir", ["runs/y", "gs://b/runs/y", "gs://b/runs/y/"])
@pytest.mark.parametrize("names", [[], [*VERTEX]])
def test_the_workdir_that_is_given_holds_everything(
    monkeypatch: pytest.MonkeyPatch, workdir: str, names: list[str]
):
    root = workdir.rstrip("/")
    assert found(monkeypatch, workdir, names) == (root, f"{root}/tensorboard")


@pytest.mark.parametrize("trial", ["", "7/"])
def test_vertex_ai_names_the_folder_and_where_it_reads_events(
    monkeypatch: pytest.MonkeyPatch, trial: str
):
    root = f"gs://b/runs/x/{trial}".rstrip("/")
    assert found(monkeypatch, None, [*VERTEX], trial) == (root, f"{root}/logs")


@pytest.mark.parametrize("names", [["AIP_MODEL_DIR"], ["AIP_CHECKPOINT_DIR"]])
def test_one_of_its_folders_is_enough(monkeypatch: pytest.MonkeyPatch, names: list[str]):
    assert found(monkeypatch, None, names) == ("gs://b/runs/x", "gs://b/runs/x/tensorboard")


@pytest.mark.parametrize("workdir", [None, ""])
def test_without_any_the_flag_is_asked_for(monkeypatch: pytest.MonkeyPatch, workdir: str | None):
    monkeypatch.setenv("AIP_CHECKPOINT_DIR", "")
    with pytest.raises(UsageError, match="--workdir is missing"):
        run_paths.from_environment(workdir)
