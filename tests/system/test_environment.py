"""A run says how and where it was started."""

import sys
from datetime import datetime
from pathlib import Path

import keras
import pytest
from tensorflow.python.util import _pywrap_util_port

from trainer.system import environment


@pytest.mark.parametrize(
    ("program", "shown"),
    [("task.py", "python -m trainer.task"), ("radiograph train", "radiograph train")],
)
def test_the_command_can_be_repeated_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, program: str, shown: str
):
    monkeypatch.setattr(sys, "argv", [program, "--workdir=my runs/a"])
    told = environment.describe(["CPU:0"])
    assert told["command"] == f"{shown} '--workdir=my runs/a'"
    assert told["devices"] == ["CPU:0"]
    assert told["versions"]["keras"] == keras.__version__
    assert told["onednn"] == _pywrap_util_port.IsMklEnabled()
    assert {"avx", "asimd"} & {*told["instructions"]}  # without which there is no TensorFlow
    assert datetime.fromisoformat(told["started"]).tzinfo is not None


@pytest.mark.parametrize("built_from", [None, "", "4f1c-dirty"])
def test_without_git_the_commit_is_that_of_the_image_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, built_from: str | None
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(environment.COMMIT, raising=False)
    if built_from is not None:
        monkeypatch.setenv(environment.COMMIT, built_from)
    assert environment.describe([])["git_commit"] == (built_from or None)


def test_a_checkout_knows_its_commit_better(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\necho 0b5e\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(environment.COMMIT, "4f1c")
    assert environment.describe([])["git_commit"] == "0b5e"
