"""A run says how and where it was started."""

import sys
from datetime import datetime

import keras
import pytest

from trainer import environment


def test_the_command_can_be_repeated_as_it_stands(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["task.py", "--workdir=my runs/a"])
    told = environment.describe(["CPU:0"])
    assert told["command"] == "python -m trainer.task '--workdir=my runs/a'"
    assert told["devices"] == ["CPU:0"]
    assert told["versions"]["keras"] == keras.__version__
    assert datetime.fromisoformat(told["started"]).tzinfo is not None


def test_a_machine_without_git_has_no_commit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    assert environment.describe([])["git_commit"] is None
