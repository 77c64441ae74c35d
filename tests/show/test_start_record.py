"""Every start of a run is recorded, and what has changed since the last is said."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath

from trainer.show import start_record
from trainer.show.start_record import StartRecord
from trainer.system import environment
from trainer.system.terminal import LiveLine

OLD = {
    "command": "python -m trainer.task",
    "versions": {"tensorflow-cpu": "2.20.0", "keras": "3.15.1"},
    "devices": ["/job:localhost/replica:0/task:0/device:CPU:0"],
    "git_commit": None,
    "started": "2026-11-22T10:00:00+00:00",
}


def start(workdir: Path, step: int, kind: str = "CPU", hosts: tuple = ()) -> str:
    """Begins at a step, and returns what the terminal shows."""
    shown = io.StringIO()
    replicas = SimpleNamespace(
        devices=("CPU:0",), device_kind=kind, workers=max(1, len(hosts)), hosts=hosts
    )
    run = SimpleNamespace(workdir=epath.Path(workdir), replicas=replicas)
    StartRecord(LiveLine(shown)).begin(run, SimpleNamespace(step=step), {})
    return shown.getvalue()


def record(workdir: Path) -> dict:
    return json.loads((workdir / "environment.json").read_text())


def test_each_start_is_added_with_its_step_and_its_hosts(tmp_path: Path):
    described = environment.describe(["CPU:0"]) | {"starts": []}
    (tmp_path / "environment.json").write_text(json.dumps(described))
    assert start(tmp_path, 0) == start(tmp_path, 12, hosts=("b", "a", "b")) == ""
    first, second = record(tmp_path)["starts"]
    assert (first["step"], second["step"]) == (0, 12)
    assert first["host"] == described["host"] and second["host"] == "b, a"
    assert second["device_kind"] == "CPU" and second["versions"] == described["versions"]
    assert {**record(tmp_path), "starts": []} == described


def test_record_of_an_earlier_version_is_its_first_start_and_changes_are_said(tmp_path: Path):
    (tmp_path / "environment.json").write_text(json.dumps(OLD))
    shown = start(tmp_path, 7, kind="NVIDIA L4")
    now = environment.tensorflow_version(record(tmp_path)["starts"][1])
    assert f"TensorFlow has become {now}, from 2.20.0" in shown
    assert "the kind of device has become NVIDIA L4, from CPU" in shown and shown.count("\n") == 1
    first, second = record(tmp_path)["starts"]
    assert first == {**OLD, "step": 0} and second["step"] == 7


@pytest.mark.parametrize(("kind", "named"), [("CPU", True), ("NVIDIA L4", False)])
def test_another_processor_is_a_change_where_it_trains(kind: str, named: bool):
    before = OLD | {"device_kind": kind, "onednn": True, "instructions": ["avx", "avx2", "avx512f"]}
    changed = start_record.changes(before, before | {"instructions": ["avx", "avx2"]})
    sentence = (
        "the processor's arithmetic has become avx avx2 with oneDNN, from avx avx2 avx512f with "
        "oneDNN"
    )
    assert changed == (sentence if named else "")


@pytest.mark.parametrize("kind", ["CPU", None])
def test_same_machine_is_no_change(kind: str | None):
    before = OLD | ({"device_kind": kind} if kind else {})
    now = OLD | {"device_kind": "CPU", "onednn": True, "instructions": []}
    assert start_record.changes(before, now) == ""
