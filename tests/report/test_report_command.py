"""The command that writes pages, without TensorFlow where no network is asked."""

import errno
import re
import subprocess
import sys

import pytest
from absl import flags

from trainer.commands import report
from trainer.system import atomic
from trainer.system.errors import CannotWrite, UsageError


@pytest.fixture
def command(monkeypatch):
    """Calls the command in this process."""

    def call(*arguments):
        values = flags.FlagValues()
        report.define_flags(values)
        monkeypatch.setattr(flags, "FLAGS", values)
        report.main(values(["report", *map(str, arguments)]))

    return call


def test_a_report_and_a_comparison_are_written_without_tensorflow(tmp_path, finished_run):
    first, second = finished_run(tmp_path / "first"), finished_run(tmp_path / "second")
    page = tmp_path / "both.html"
    program = (
        "import sys; from trainer.report import comparison, run_page; "
        f"run_page.write({str(first.folder)!r}); "
        f"comparison.write({[str(first.folder), str(second.folder)]!r}, {str(page)!r}); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "93.1 %" in (first.folder / "report.html").read_text()
    assert "2 runs compared" in page.read_text()


def test_the_path_of_the_page_is_printed(command, tmp_path, finished_run, capsys):
    first, second = finished_run(tmp_path / "first"), finished_run(tmp_path / "second")

    command(first.folder)
    command(first.folder, second.folder, f"--out={tmp_path / 'both.html'}")

    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(first.folder / "report.html"), str(tmp_path / "both.html")]


def test_a_run_that_cannot_be_written_to_has_its_page_elsewhere(
    command, tmp_path, finished_run, monkeypatch, capsys
):
    run, write = finished_run(tmp_path / "run"), atomic.write_text

    def write_elsewhere(file, text):
        if file.parent == run.folder:
            raise OSError(errno.EROFS, "Read-only file system")
        return write(file, text)

    monkeypatch.setattr(atomic, "write_text", write_elsewhere)
    with pytest.raises(CannotWrite, match=r"run \(Read-only.*EROFS\): give --out=FILE.html"):
        command(run.folder)
    command(run.folder, f"--out={tmp_path / 'page.html'}")
    assert capsys.readouterr().out == f"{tmp_path / 'page.html'}\n"


def test_a_missing_run_ends_the_program_with_one_sentence(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "report", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2 and done.stdout == ""
    assert re.search(r"^error: there is no run at .*nowhere: give .*\.$", done.stderr, re.M)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["a", "--out=b"], "--out=b must end in .html"),
        (["a", "b", "--out=c"], "--out=c must end in .html"),
        (["a", "b", "--out=no/where.html"], "the folder no does not exist"),
        (["a", "--image=no.png"], "--image=no.png does not exist: name a radiograph"),
        (["a", "b", "--image=c.png"], "--image takes one run, but there are 2"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(command, arguments, reason):
    with pytest.raises(UsageError, match=reason):
        command(*arguments)


@pytest.mark.parametrize(
    ("record", "damage"),
    [
        ("environment", {"command": None, "started": "x"}),
        ("environment", {"versions": None}),
        ("environment", {"starts": [None]}),
        ("data_summary", {"labels": 3}),
        ("evaluation/test", {"labels": {"PNEUMONIA": {}}}),
        ("evaluation/validation", {"auc": None}),
    ],
)
@pytest.mark.usefixtures("no_charts")
def test_a_record_of_other_content_is_refused_in_a_sentence(
    command, tmp_path, finished_run, record, damage
):
    run = finished_run(tmp_path / "run")
    run.change(f"{record}.json", **damage)
    with pytest.raises(UsageError) as refusal:
        command(run.folder)
    assert str(run.folder) in str(refusal.value) and "\n" not in str(refusal.value)
