"""An export is opened only if all that is read of it was exported."""

import hashlib
import json
from pathlib import Path

import pytest

from trainer.export.exported import Exported, local
from trainer.system.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export of nothing but its metadata."""
    (tmp_path / "saved_model" / "1").mkdir(parents=True)
    (tmp_path / "metadata.json").write_text("{}")
    sums = {"metadata.json": hashlib.sha256(b"{}").hexdigest()}
    (tmp_path / "checksums.json").write_text(json.dumps(sums))
    return tmp_path


@pytest.mark.parametrize(
    "name", ["gate.npz", "similar.npz", "conformal.json", "saved_model/1/saved_model.pb"]
)
def test_a_file_that_was_put_there_since_is_refused(folder: Path, name: str):
    (folder / name).write_bytes(b"of somebody else")
    with pytest.raises(UsageError, match=rf"{name} is not among .*checksums.json.*: remove it, or"):
        Exported.open(folder)


def test_a_file_that_nobody_reads_may_lie_there(folder: Path):
    (folder / "notes.txt").write_text("for the ward")
    assert Exported.open(folder).gate is None


def test_checksums_that_leave_out_the_metadata_are_refused(folder: Path):
    (folder / "checksums.json").write_text("{}")
    with pytest.raises(UsageError, match=r"metadata.json is not among"), local(folder) as here:
        Exported.open(here)
