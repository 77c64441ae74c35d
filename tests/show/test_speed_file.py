"""`speed.json` is a record that can be made anew: a damaged one stops no run."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath

from trainer.show.speed_file import SpeedFile

SESSION = {"from_step": 0, "seconds": {"training": 2.5}}


@pytest.mark.parametrize(
    ("content", "kept"),
    [
        ({"sessions": [SESSION], "flops_a_step": 2e9}, 2e9),
        ({"sessions": [SESSION], "flops_a_step": None}, None),
        ({"sessions": [3], "flops_a_step": 2e9}, "damaged"),
        ({"sessions": [SESSION | {"seconds": "2"}], "flops_a_step": 2e9}, "damaged"),
        ([], "damaged"),
    ],
)
def test_resumed_run_keeps_a_whole_record_and_sets_a_damaged_one_aside(
    tmp_path: Path, content: object, kept: object
):
    (tmp_path / "speed.json").write_text(json.dumps(content))
    run = SimpleNamespace(workdir=epath.Path(tmp_path), speed=SimpleNamespace(flops=1.0))
    SpeedFile().begin(run, SimpleNamespace(step=3), {})
    damaged = kept == "damaged"
    assert (tmp_path / "speed.damaged-1.json").exists() == damaged
    assert run.speed.flops == (None if damaged else kept)
