"""A file is complete or not there at all."""

import os
from pathlib import Path

import pytest
from etils import epath

from trainer.system import atomic


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    file = epath.Path(tmp_path / "a/b/c.json")  # the folders are made
    atomic.write_text(file, "old")
    assert atomic.write_json(file, {"a": 1}) == file
    assert file.read_text() == '{\n  "a": 1\n}\n'
    assert [path.name for path in file.parent.iterdir()] == ["c.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    file = epath.Path(tmp_path / "a.json")
    atomic.write_json(file, {"a": 1})
    before = file.read_text()
    with pytest.raises(TypeError):
        atomic.write_json(file, {"a": object()})
    monkeypatch.setattr(os, failing, lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        atomic.write_json(file, {"a": 2})
    assert file.read_text() == before and os.listdir(tmp_path) == ["a.json"]


def test_content_is_on_the_disk_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file, order = epath.Path(tmp_path / "a.json"), []
    monkeypatch.setattr(os, "fsync", lambda number: order.append(os.fstat(number).st_size))
    monkeypatch.setattr(os, "replace", lambda *_: order.append("renamed"))
    atomic.write_text(file, "content")
    assert order == [len("content"), "renamed"]


def test_what_killed_processes_left_is_removed_and_no_file_of_the_users(tmp_path: Path):
    folder = tmp_path / "a"
    folder.mkdir()
    for name in (".radiograph-trainer-0123456789abcdef.tmp", ".notes.tmp", "notes.tmp"):
        (folder / name).touch()
    atomic.remove_leftovers(epath.Path(tmp_path))
    assert sorted(os.listdir(folder)) == [".notes.tmp", "notes.tmp"]
