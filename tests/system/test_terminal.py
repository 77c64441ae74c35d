"""The terminal shows one live line; a log file a line now and then."""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.system import terminal
from trainer.system.terminal import LiveLine, bar, clock

ROOT = Path(__file__).parents[2]
CLEARED = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_file_gets_the_lines_that_stay():
    out = io.StringIO()
    line = LiveLine(out)
    for step in range(5):
        line.show(f"step {step}", done=0.5)
        line.show("evaluating ...", at_once=True)
    line.settle("epoch 1")
    line.clear()
    assert out.getvalue() == "epoch 1\n"


def test_a_log_file_gets_the_others_where_an_epoch_takes_long(monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    out = io.StringIO()
    line = LiveLine(out)
    for now in range(0, 181, 5):
        line.show(f"{now} s", done=now / 180)
        if now == 90:
            line.settle("epoch 1")
    assert out.getvalue() == "60 s\nepoch 1\n150 s\n"


def test_a_terminal_rewrites_its_line_until_it_settles():
    out = Terminal()
    line = LiveLine(out)
    line.show("step 1")
    line.settle("epoch 1")
    assert out.getvalue() == f"{CLEARED}step 1{CLEARED}epoch 1\n"


def test_a_terminal_is_not_rewritten_too_often_but_at_once_where_asked():
    out = Terminal()
    line = LiveLine(out)
    for text in ("first", "too soon"):
        line.show(text)
    line.show("evaluating", at_once=True)
    line.clear()
    assert out.getvalue() == f"{CLEARED}first{CLEARED}evaluating{CLEARED}"


def test_what_follows_stands_in_an_empty_line():
    out = Terminal()
    with LiveLine(out) as line:
        line.show("step 1")
    assert out.getvalue() == f"{CLEARED}step 1{CLEARED}"


def test_the_live_line_is_cut_to_the_terminal_as_wide_as_it_is_now(monkeypatch: pytest.MonkeyPatch):
    out = Terminal()
    line = LiveLine(out)
    for columns in ("40", "24"):
        monkeypatch.setenv("COLUMNS", columns)
        line.show("x" * 200, done=0.5, at_once=True)
    assert [len(text) for text in out.getvalue().split(CLEARED)] == [0, 39, 23]


def test_a_terminal_that_understands_no_control_characters_gets_none(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    line = LiveLine(out)
    line.show("step 1")
    line.settle("epoch 1")
    assert out.getvalue() == "epoch 1\n"


def test_a_quiet_line_shows_nothing():
    out = Terminal()
    line = LiveLine(out, quiet=True)
    line.show("step 1")
    line.settle("epoch 1", heading="epoch")
    line.clear()
    assert out.getvalue() == ""


def test_a_heading_stands_once_above_lines_that_share_it():
    out = io.StringIO()
    line = LiveLine(out)
    for text, heading in (("1", "epoch"), ("2", "epoch"), ("skipped", ""), ("3", "epoch")):
        line.settle(text, heading)
    assert out.getvalue().split() == ["epoch", "1", "2", "skipped", "epoch", "3"]


def test_without_a_stdout_nothing_fails(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    line = LiveLine()
    line.show("step 1")
    line.settle("epoch 1")


@pytest.mark.parametrize(("done", "filled"), [(-1, 0), (0, 0), (0.5, 6), (1, 12), (2, 12)])
def test_a_bar_fills_up(done: float, filled: int):
    assert bar(done) == f"[{'#' * filled}{'.' * (12 - filled)}]"


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (75.4, "1:15"), (3723, "1:02:03")])
def test_durations_read_as_a_clock(seconds: float, text: str):
    assert clock(seconds) == text


PROGRAM = """
from trainer.system.terminal import LiveLine
line = LiveLine()
line.show("compiling ...", at_once=True)
line.show("epoch 1/2 " + "x" * 200, done=0.25, at_once=True)
line.settle("1/2")
"""


def test_in_a_real_terminal_the_live_line_leaves_no_trace():
    """The screen is played back: a line that wrapped would be on it."""
    control, terminal = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "60"}
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=variables) as process:
        os.close(terminal)
        shown = b""
        try:
            while more := os.read(control, 4096):
                shown += more
        except OSError:  # how Linux tells the end
            pass
        assert process.wait() == 0
    os.close(control)
    rows = re.split("\r\n", shown.decode())
    assert [row.split("\x1b[K")[-1] for row in rows] == ["1/2", ""]
    assert all(len(text.rstrip("\r")) < 60 for row in rows for text in row.split("\x1b[K"))
    assert "[###.........] epoch 1/2 xxx" in rows[0]


@pytest.mark.parametrize(
    ("is_terminal", "environment", "shown"),
    [
        (True, {}, "\x1b[31merror:\x1b[0m"),
        (False, {}, "error:"),
        (True, {"NO_COLOR": "1"}, "error:"),
        (True, {"NO_COLOR": ""}, "\x1b[31merror:\x1b[0m"),
        (True, {"TERM": "dumb"}, "error:"),
    ],
)
def test_colour_is_for_terminals_whose_user_has_not_refused_it(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, environment: dict, shown: str
):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal)
    assert terminal.coloured("error:", "red", out) == shown
