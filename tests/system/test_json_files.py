"""A damaged JSON file is one sentence that names it, whatever the damage."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer.config import recipe
from trainer.data import dataset
from trainer.data.prepared_data import open_data
from trainer.distribute.replicas import Replicas
from trainer.system import json_files
from trainer.system.errors import UsageError
from trainer.training.run_files import RunFiles
from trainer.training.run_folder import run_folder
from trainer.tuning import trials

DAMAGE = {
    "empty": b"",
    "cut off": b'{"a": ',
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"5",
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"a": "\xff"}',
    "NUL": b"\0" * 20,
}
ALL = pytest.mark.parametrize("content", DAMAGE.values(), ids=DAMAGE)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> epath.Path:
    file = epath.Path(tmp_path) / "config.json"
    file.write_bytes(content)
    return file


def sentence(call: Callable, *arguments: object) -> str:
    with pytest.raises(UsageError) as found:
        call(*arguments)
    assert "\n" not in str(found.value) and len(str(found.value)) < 600
    return str(found.value)


@ALL
def test_reader_names_the_file(file: epath.Path):
    assert str(file) in sentence(json_files.read, file)


@ALL
def test_config_summary_and_sweep_are_refused(file: epath.Path, tiny: ConfigDict):
    assert str(file) in sentence(recipe.read, str(file))
    for name, read in (
        (dataset.SUMMARY, lambda folder: dataset.read_summary(folder)),
        (trials.RECORD, lambda folder: trials._begin(folder, tiny, {}, data=None)),
    ):
        damaged = file.rename(file.parent / name)
        assert str(damaged) in sentence(read, file.parent)
        file = damaged


@ALL
def test_damaged_records_of_a_run_are_refused(file: epath.Path):
    run = RunFiles(file.parent, needed=())
    sentence(lambda: run.config)
    file.rename(file.parent / "data_summary.json")
    sentence(lambda: run.data)


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"splits": 5}', b'{"splits": {"train": {}}}'])
def test_run_with_a_damaged_summary_is_refused_with_a_way_out(
    file: epath.Path, tiny: ConfigDict, content: bytes
):
    file.write_text(json.dumps(tiny.to_dict()))
    (file.parent / "data_summary.json").write_bytes(content)
    held = run_folder(file.parent, tiny, open_data(tiny.data.path), replicas=Replicas(None, "test"))
    assert "or delete it" in sentence(held.__enter__)
