"""The terminal shows one live line; a log file a line now and then."""

import io

import pytest

from trainer.progress import LiveLine, clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_file_gets_no_control_characters_and_not_every_line():
    out = io.StringIO()
    line = LiveLine(out, every_seconds=60)
    for step in range(5):
        line.show(f"step {step}")
    line.settle("epoch 1")
    assert out.getvalue() == "step 0\nepoch 1\n"


def test_a_terminal_rewrites_its_line_until_it_settles():
    out = Terminal()
    line = LiveLine(out)
    line.show("step 1")
    line.settle("epoch 1")
    assert out.getvalue() == "\r\x1b[Kstep 1\r\x1b[Kepoch 1\n"


@pytest.mark.parametrize(("seconds", "text"), [(5, "0:05"), (75.4, "1:15"), (3723, "1:02:03")])
def test_durations_read_as_a_clock(seconds: float, text: str):
    assert clock(seconds) == text
