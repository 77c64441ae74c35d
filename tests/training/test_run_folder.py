"""A run goes on with the data that it began on, wherever they lie, and with no others."""

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer.data import sources, summary_file
from trainer.data.prepare import preparation
from trainer.data.prepared_data import open_data
from trainer.show import mlflow_tracker, wandb_tracker
from trainer.system import file_lock
from trainer.system.errors import UsageError
from trainer.training.run_folder import run_folder


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same source as that of `phantoms`, and the same splits, with smaller images."""
    out = tmp_path_factory.mktemp("smaller")
    preparation.prepare(sources.open_source("phantom:120"), epath.Path(out), max_side=64)
    return out


def begun(workdir: Path, config: ConfigDict, data: epath.PathLike) -> AbstractContextManager[None]:
    replicas = SimpleNamespace(devices=["CPU:0"])
    config.data.path = str(data)
    return run_folder(epath.Path(workdir), config, open_data(str(data)), replicas=replicas)


def begin(workdir: Path, config: ConfigDict, data: epath.PathLike) -> None:
    with begun(workdir, config, data):
        pass


def test_the_path_of_the_data_may_change_and_their_content_may_not(
    tiny: ConfigDict, phantoms: epath.Path, smaller: Path, tmp_path: Path
):
    begin(tmp_path / "run", tiny, phantoms)
    begin(tmp_path / "run", tiny, shutil.copytree(phantoms, tmp_path / "moved"))
    with pytest.raises(UsageError, match="is not the data set on which .* was begun") as refused:
        begin(tmp_path / "run", tiny, smaller)
    assert str(smaller) in str(refused.value) and "84 train" in str(refused.value)
    assert f"radiograph evaluate {tmp_path}/run --data={smaller}" in str(refused.value)


def test_a_run_without_a_fingerprint_goes_on_with_data_that_were_made_alike(
    tiny: ConfigDict, phantoms: epath.Path, smaller: Path, tmp_path: Path
):
    begin(tmp_path / "run", tiny, phantoms)
    file = tmp_path / "run" / summary_file.SUMMARY
    saved = json.loads(file.read_text())
    del saved["dataset_fingerprint"]
    saved["shards"][-1]["sha256"] = "0"  # the same images, prepared by an earlier version
    file.write_text(json.dumps(saved))
    begin(tmp_path / "run", tiny, phantoms)
    with pytest.raises(UsageError, match="is not the data set"):
        begin(tmp_path / "run", tiny, smaller)


def test_a_run_that_gets_longer_says_so_in_its_config(
    tiny: ConfigDict, phantoms: epath.Path, tmp_path: Path
):
    tiny.schedule.name = "constant"
    for tiny.train.epochs in (2, 3):
        begin(tmp_path / "run", tiny, phantoms)
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved == tiny.to_dict() and saved["train"]["epochs"] == 3


@pytest.mark.parametrize(
    ("field", "copy"), [("loss.name", "loss.py"), ("augment.extra", "augmentation.py")]
)
def test_a_run_keeps_ones_own_function_and_refuses_to_go_on_with_another(
    tiny: ConfigDict, phantoms: epath.Path, tmp_path: Path, field: str, copy: str
):
    own = tmp_path / "own.py"
    own.write_text("def changed(first, second): return first")
    group, name = field.split(".")
    tiny[group][name] = f"{own}:changed"
    begin(tmp_path / "run", tiny, phantoms)
    assert (tmp_path / "run" / copy).read_text() == own.read_text()
    begin(tmp_path / "run", tiny, phantoms)
    own.write_text("def changed(first, second): return second")
    with pytest.raises(UsageError, match="is not what this work directory was begun with"):
        begin(tmp_path / "run", tiny, phantoms)


@pytest.mark.parametrize("learnt", [False, True])
def test_a_run_that_is_refused_before_its_first_checkpoint_can_be_begun_otherwise(
    tiny: ConfigDict, phantoms: epath.Path, tmp_path: Path, learnt: bool
):
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("of the user")

    def refused() -> None:
        with begun(run, tiny, phantoms):
            (run / "history.json").write_text("[]")
            (run / mlflow_tracker.RECORD).write_text("{}")
            (run / wandb_tracker.RECORD).write_text("{}")
            (run / "worker.log").write_text("of what started the run")
            (run / ("checkpoints" if learnt else "tensorboard")).mkdir()
            raise UsageError("these weights are of another network")

    with pytest.raises(UsageError, match="of another network"):
        refused()
    tiny.model.width += 1
    if learnt:
        record = json.loads((run / "environment.json").read_text())
        assert "another network" in record["ended"]["reason"]
        with pytest.raises(UsageError, match=r"begun with model\.width"):
            begin(run, tiny, phantoms)
    else:
        kept = {"notes.txt", "worker.log", file_lock.FILE}
        assert {path.name for path in run.iterdir()} == kept
        begin(run, tiny, phantoms)
