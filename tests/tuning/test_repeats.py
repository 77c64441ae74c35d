"""A config is trained once for each seed or fold, in folders of their own."""

import json
import sys
from pathlib import Path

import pytest
from etils import epath

from trainer.config.schema import default
from trainer.system.errors import UsageError
from trainer.tuning import child_run, repeats

PYTHON = sys.executable

# Stands in for the Python that runs trainer.task: what a finished run leaves.
TASK = """#!{python}
import json, pathlib, sys
flags = dict(flag.lstrip("-").split("=", 1) for flag in sys.argv[3:])
if flags["config.seed"] == {failing!r}:
    sys.exit(65)
folder = pathlib.Path(flags["workdir"])
(folder / "evaluation").mkdir(parents=True, exist_ok=True)
config = json.loads({config!r})
config["seed"] = int(flags["config.seed"])
(folder / "config.json").write_text(json.dumps(config))
(folder / "data_summary.json").write_text(json.dumps(dict(dataset_fingerprint={data!r})))
(folder / "evaluation" / "test.json").write_text("{{}}")
with open(folder / "started", "a") as file:
    print(file=file)
"""


@pytest.fixture
def series(phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a series of seeds whose trainings take no time."""
    config = default()
    config.data.path, config.seed = str(phantoms), 3
    data = json.loads((phantoms / "data_summary.json").read_text())["dataset_fingerprint"]

    def run(count: int, *, failing: str = "", data: str = data, **fields: object) -> list[str]:
        begun = config.copy_and_resolve_references()
        begun.update_from_flattened_dict(fields)
        task = tmp_path / "task"
        content = {"failing": failing, "config": begun.to_json(), "data": data}
        task.write_text(TASK.format(python=PYTHON, **content))
        task.chmod(0o755)
        monkeypatch.setattr(child_run.sys, "executable", str(task))
        given = {"task_flags": [], "workdir": tmp_path / "runs"}
        runs = repeats.run(begun, repeats.by_seed(begun, count), **given)
        return [path.name for path in runs]

    return run


def starts(runs: Path) -> list[int]:
    return [len(file.read_text()) for file in sorted(runs.glob("seed-*/started"))]


def test_seeds_count_up_from_the_config_and_finished_ones_are_left_alone(series, tmp_path: Path):
    assert series(2) == ["seed-3", "seed-4"]
    assert series(3) == ["seed-3", "seed-4", "seed-5"]
    assert starts(tmp_path / "runs") == [1, 1, 1]


def test_a_seed_that_diverges_ends_the_series(series, tmp_path: Path):
    with pytest.raises(child_run.RunFailed) as failed:
        series(3, failing="4")
    assert failed.value.exit_code == 65
    series(3)
    assert starts(tmp_path / "runs") == [1, 1, 1]


def test_another_config_or_data_set_is_refused_and_more_epochs_train_on(series, tmp_path: Path):
    series(1, data="of other images")
    with pytest.raises(UsageError):
        series(1)
    with pytest.raises(UsageError):
        series(1, **{"model.width": 5})


def test_folder_of_a_run_takes_no_series(series, tmp_path: Path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "config.json").write_text("{}")
    with pytest.raises(UsageError):
        series(1)
    assert [file.name for file in (tmp_path / "runs").glob("seed-*")] == []


def test_runs_of_fewer_epochs_are_not_finished(series, tmp_path: Path):
    series(1, **{"schedule.name": "constant"})
    more = {"schedule.name": "constant", "train.epochs": default().train.epochs + 1}
    series(1, **more)
    assert starts(tmp_path / "runs") == [2]


def test_each_fold_is_a_repeat_and_no_folds_are_refused(tmp_path: Path):
    config = default()
    config.data.path = str(tmp_path)
    (tmp_path / "fold-1").mkdir()
    with pytest.raises(UsageError):
        repeats.by_fold(config)
    (tmp_path / "fold-2").mkdir()
    found = repeats.by_fold(config)
    assert found == {f"fold-{n}": {"data.path": str(tmp_path / f"fold-{n}")} for n in (1, 2)}
