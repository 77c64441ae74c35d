"""A damaged JSON file is one sentence that names it, whatever the damage."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath
from ml_collections import ConfigDict

from trainer.config import recipe
from trainer.data import summary_file
from trainer.data.prepared_data import PreparedData, open_data
from trainer.distribute.replicas import Replicas
from trainer.system import environment, json_files
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
def test_config_and_summary_are_refused(file: epath.Path):
    assert str(file) in sentence(recipe.read, str(file))
    damaged = file.rename(file.parent / summary_file.SUMMARY)
    assert str(damaged) in sentence(summary_file.read, file.parent)


@ALL
def test_records_that_can_be_made_anew_are_kept_aside_and_made_anew(
    file: epath.Path, content: bytes, tiny: ConfigDict, capsys: pytest.CaptureFixture
):
    file.write_text(json.dumps(tiny.to_dict()))
    data = open_data(tiny.data.path)
    for name in ("environment.json", "audit.json", trials.RECORD):
        (file.parent / name).write_bytes(content)
    with run_folder(file.parent, tiny, data, replicas=SimpleNamespace(devices=["CPU:0"])):
        environment.check(RunFiles(file.parent, needed=()).environment)
    assert trials._begin(file.parent, tiny, {}).rows() == []
    assert not (file.parent / "audit.json").exists()  # that of these data is none
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 3
    for name, warning in zip(("audit", "environment", "sweep"), warnings, strict=True):
        aside = file.parent / f"{name}.damaged-1.json"
        assert aside.read_bytes() == content
        assert f"{name}.json was damaged (" in warning and f"is kept as {aside.name}: " in warning


@ALL
def test_a_damaged_audit_of_a_data_set_is_left_out(file: epath.Path):
    folder = file.rename(file.parent / "audit.json").parent
    assert PreparedData(folder, {}, {}).audit() is None


def test_a_second_damaged_record_leaves_the_first(tmp_path: Path):
    file = epath.Path(tmp_path / "a.json")
    for _ in range(2):
        file.write_text("{")
        assert not json_files.set_aside_if_damaged(file, dict, "nothing follows")
    assert {path.name for path in tmp_path.iterdir()} == {"a.damaged-1.json", "a.damaged-2.json"}


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


def test_an_infinite_number_is_damage(tmp_path: Path):
    file = epath.Path(tmp_path / "a.json")
    file.write_text("1e999")
    assert not json_files.set_aside_if_damaged(file, int, "nothing follows")
