"""Runs are listed in a chosen order, as a table, as CSV and as JSON."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from tests.training.test_run_listing import make
from trainer.commands import runs as command
from trainer.system import file_lock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make(tmp_path / "better", [0.9123, 0.5])
    make(tmp_path / "halfway", [0.7], evaluated=False)
    make(tmp_path / "new\x1b", [], evaluated=False)
    (tmp_path / "halfway/history.json").write_text("{")
    environment = json.loads((tmp_path / "new\x1b/environment.json").read_text())
    environment["started"] = "2026-02-02T03:04:05+00:00"
    (tmp_path / "new\x1b/environment.json").write_text(json.dumps(environment))
    return tmp_path


def shown(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    with flagsaver.flagsaver():
        command.main(flags.FLAGS(["runs", *given]))
    return capsys.readouterr().out


def test_a_table_has_a_line_for_each_the_newest_first(
    capsys: pytest.CaptureFixture[str], folder: Path
):
    head, new, better, halfway = shown(capsys, str(folder)).splitlines()
    assert head.split() == ["run", "state", "epoch", "AUC", "data", "age", "commit"]
    assert new.split()[1:4] == ["stopped", "0/2", "-"] and "\x1b" not in new
    assert better.split()[:4] == ["better", "finished", "2/2", "0.9123"]
    assert better.split()[4:6] == ["DATA", "12"] and better.endswith("def")
    assert halfway.split()[:3] == ["halfway", "damaged", "-"] and "history.json" in halfway
    assert shown(capsys, str(folder), "--sort=auc").splitlines()[1] == better


def test_csv_and_json_have_all_that_is_known(capsys: pytest.CaptureFixture[str], folder: Path):
    rows = [*csv.DictReader(shown(capsys, str(folder), "--format=csv").splitlines())]
    listed = json.loads(shown(capsys, str(folder), "--format=json", "--sort=name"))
    assert [row["run"] for row in listed] == ["better", "halfway", "new\x1b"]
    assert {row["run"] for row in rows} == {"better", "halfway", "new\\x1b"}
    better = next(row for row in rows if row["run"] == "better")
    assert {k: str(v or "") for k, v in listed[0].items()} == better


def test_where_there_is_none_a_sentence_or_an_empty_list_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    assert shown(capsys, str(tmp_path)) == f"there is no run below {tmp_path}\n"
    assert shown(capsys, str(tmp_path), "--format=json") == "[]\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_shown_in_its_largest_unit(seconds: int, text: str):
    assert command.age(timedelta(seconds=seconds)) == text


def test_runs_in_a_bucket_are_listed_too(bucket, tmp_path: Path):
    make(tmp_path / "a/b", [0.5, 0.6])
    for file in (path for path in tmp_path.rglob("*") if path.is_file()):
        bucket.write(f"runs/{file.relative_to(tmp_path)}", file.read_bytes())
    bucket.write(f"runs/a/b/{file_lock.FILE}", b"{}")  # a lease that was renewed just now
    done = bucket.run("-m", "trainer", "runs", "gs://bucket/runs", "--format=json")
    assert done.returncode == 0, done.stderr
    (listed,) = json.loads(done.stdout)
    assert (listed["run"], listed["state"], listed["auc"]) == ("a/b", "running", 0.6)
