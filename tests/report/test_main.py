"""The command that writes reports."""

import re
import subprocess
import sys

import pytest


def command(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "trainer", "report", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def test_of_one_run_it_writes_the_report_and_says_where(run):
    done = command(run.folder)

    assert (done.returncode, done.stdout) == (0, f"{run.folder / 'report.html'}\n")
    assert "93.1 %" in (run.folder / "report.html").read_text()


def test_of_several_runs_it_writes_a_comparison(run, finish, tmp_path):
    other = finish(tmp_path / "other")

    done = command(run.folder, other.folder, f"--out={tmp_path / 'both.html'}")

    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'both.html'}\n")
    assert "2 runs compared" in (tmp_path / "both.html").read_text()


def test_a_missing_run_is_answered_with_one_sentence(tmp_path):
    done = command(tmp_path / "nowhere")

    assert done.returncode == 2 and done.stdout == ""
    assert re.search(r"^error: there is no run at .*nowhere: give .*\.$", done.stderr, re.M)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "RUN is missing"),
        (["a", "--out=b.html"], "--out=b.html goes with several runs or with --image"),
        (["a", "b", "--out=c"], "--out=c must end in .html"),
        (["a", "b", "--out=no/where.html"], "the folder no does not exist"),
        (["a", "b", "--image=c.png"], "--image takes one run, but there are 2"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, said):
    done = command(*arguments)

    assert done.returncode == 2 and said in done.stderr
