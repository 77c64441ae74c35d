"""A list of runs says of each how it is, from its files alone, whatever state these are in."""

import fcntl
import json
from pathlib import Path

import pytest
from etils import epath
from ml_collections import ConfigDict

from tests.training.test_run_folder import begun
from trainer.config.schema import default
from trainer.system import file_lock
from trainer.system.errors import ExitError, NotFinite, Stopped, UsageError, WorkerLost
from trainer.training import run_listing

START = {"git_commit": "abc", "started": "2026-01-02T03:04:05+00:00"}


def make(
    folder: Path, aucs: list[float | None], *, epochs: int = 2, evaluated: bool = True
) -> None:
    """Writes what is read of a run that has trained for as many epochs as there are AUCs."""
    (folder / "evaluation").mkdir(parents=True)
    config = default()
    config.train.epochs, config.data.path = epochs, "sets/DATA"
    rows = [{"validation": {"auc": auc}} for auc in aucs]
    environment = START | {"starts": [START | {"git_commit": "def"}]}
    for name, content in (
        ("config", config.to_dict()),
        ("history", rows),
        ("environment", environment),
        ("data_summary", {"dataset_fingerprint": "12"}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(content))
    if evaluated:
        (folder / "evaluation/test.json").touch()


def states(root: Path) -> dict[str, str]:
    return {listed.run: listed.state for listed in run_listing.below(root)}


def test_a_finished_run_has_its_best_epoch_its_data_and_its_newest_commit(tmp_path: Path):
    make(tmp_path / "a", [0.9, None, 0.8], epochs=3)
    (listed,) = run_listing.below(tmp_path)
    assert (listed.run, listed.state, listed.epoch, listed.epochs) == ("a", "finished", 3, 3)
    assert (listed.auc, listed.data, listed.dataset_fingerprint) == (0.9, "sets/DATA", "12")
    assert (listed.git_commit, listed.started.isoformat()) == ("def", START["started"])


def test_the_best_may_be_at_a_step_but_not_by_the_clock(tmp_path: Path):
    make(tmp_path / "a", [0.7, 0.8])
    within = [("start", 0.5), ("steps", 0.9), ("steps", None), ("minutes", 0.95)]
    rows = [{"reason": reason, "validation": {"auc": auc}} for reason, auc in within]
    (tmp_path / "a/evaluations.json").write_text(json.dumps(rows))
    assert run_listing.below(tmp_path)[0].auc == 0.9


def test_runs_in_runs_are_found_and_folders_of_other_programs_are_not(tmp_path: Path):
    for name in ("b", "b/seed-1", "c/d"):
        make(tmp_path / name, [0.5, 0.6])
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "network").mkdir()
    (tmp_path / "network/config.json").write_text("{}")  # such as a model from a hub
    assert [*states(tmp_path)] == ["b", "b/seed-1", "c/d"]
    assert states(tmp_path / "c/d") == {"d": "finished"}
    assert states(tmp_path / "network") == {}
    with pytest.raises(UsageError, match="there is no folder .*/nowhere"):
        run_listing.below(tmp_path / "nowhere")


def test_a_run_is_running_while_its_lock_is_held_and_stopped_after(tmp_path: Path):
    make(tmp_path / "a", [0.5], evaluated=False)
    make(tmp_path / "longer", [0.5, 0.6], epochs=3)  # it was finished, and goes on
    with open(tmp_path / "a" / file_lock.FILE, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert states(tmp_path) == {"a": "running", "longer": "stopped"}
    assert states(tmp_path) == {"a": "stopped", "longer": "stopped"}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NotFinite("the loss is nan."), "failed"),
        (ValueError("a fault\nof the program"), "failed"),
        (WorkerLost("another is gone."), "stopped"),
        (Stopped(15, "by SIGTERM at step 3."), "stopped"),
    ],
)
def test_how_a_run_ended_is_written_and_told_until_it_goes_on(
    tiny: ConfigDict, phantoms: epath.Path, tmp_path: Path, error: Exception, state: str
):
    with pytest.raises(type(error)), begun(tmp_path, tiny, phantoms):
        raise error
    (listed,) = run_listing.below(tmp_path)
    assert (listed.state, listed.reason) == (state, str(error).splitlines()[0])
    record = json.loads((tmp_path / "environment.json").read_text())
    again = record | {"starts": [record | {"started": "9999-01-01T00:00:00+00:00"}]}
    (tmp_path / "environment.json").write_text(json.dumps(again))
    (listed,) = run_listing.below(tmp_path)  # as of one that was killed then
    assert (listed.state, listed.reason) == ("stopped", None)


def test_a_job_that_is_refused_says_nothing_about_the_run(
    tiny: ConfigDict, phantoms: epath.Path, tmp_path: Path
):
    with begun(tmp_path, tiny, phantoms):
        with pytest.raises(ExitError, match="in use"), begun(tmp_path, tiny, phantoms):
            pass
        assert "ended" not in json.loads((tmp_path / "environment.json").read_text())


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"train": 3}'),
        ("history.json", '[{"validation": {}}]'),
        ("history.json", '[{"validation": {"auc": "high"}}]'),
        ("environment.json", '{"started": "today"}'),
        ("environment.json", '{"ended": 3, "starts": 4}'),
        ("data_summary.json", "{}"),
    ],
)
def test_a_damaged_run_is_a_row_that_says_so(tmp_path: Path, file: str, content: str):
    for name in ("a", "b"):
        make(tmp_path / name, [0.5], evaluated=False)
    (tmp_path / "a" / file).write_text(content)
    damaged, whole = run_listing.below(tmp_path)
    assert (damaged.run, damaged.state, whole.state) == ("a", "damaged", "stopped")
    assert damaged.reason and "\n" not in damaged.reason and str(tmp_path) not in damaged.reason
