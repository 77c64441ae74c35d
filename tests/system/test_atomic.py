"""A file is there whole or not at all."""

from pathlib import Path

import pytest
from etils import epath

from trainer.system import atomic


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path):
    file = epath.Path(tmp_path / "a.json")
    atomic.write_text(file, "old")
    assert atomic.write_json(file, {"a": 1}) == file
    assert file.read_text() == '{\n  "a": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_folders_above_a_file_are_made(tmp_path: Path):
    file = atomic.write_text(epath.Path(tmp_path / "a/b/c.txt"), "c")
    assert file.read_text() == "c"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path):
    file = epath.Path(tmp_path / "a.json")
    atomic.write_json(file, {"a": 1})
    before = file.read_text()
    with pytest.raises(TypeError):
        atomic.write_json(file, {"a": object()})
    assert file.read_text() == before
