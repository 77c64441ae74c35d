"""A run is downloaded completely, and only files that differ."""

import json
from pathlib import Path

import pytest

from trainer.cloud import google_storage, run_download
from trainer.cloud.transfer import Transferred
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

FILES = {
    "config.json": "{}",
    "checkpoints/step-1/manifest.json": json.dumps({"files": {}}),
    "checkpoints/step-1/variables": "v" * 300_000,
    "evaluation/test.json": "{}",
    "report.html": "<html>",
}


@pytest.fixture
def run(gcs) -> str:
    url, client = f"gs://{gcs.bucket()}/runs/first", google_storage.client("project")
    for name, content in FILES.items():
        google_storage.write_text(client, f"{url}/{name}", content)
    gcs.requests.clear()
    return url


def fetch(run: str, folder: Path) -> Transferred:
    return run_download.download(
        google_storage.client("project"), run, folder, line=LiveLine(quiet=True)
    )


def files(folder: Path) -> dict[str, str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_run_is_complete_and_its_markers_come_last(gcs, run: str, tmp_path: Path):
    brought = fetch(run, tmp_path / "here")
    assert files(tmp_path / "here") == FILES
    assert brought == (5, sum(map(len, FILES.values())), 0)
    asked = [r.path for r in gcs.requests if r.path.startswith("/download/")]
    names = [path.split("?")[0].rsplit("%2F", 1)[-1] for path in asked]
    assert {*names[-2:]} == {"manifest.json", "test.json"}


def test_only_files_that_differ_are_brought_again(gcs, run: str, tmp_path: Path):
    fetch(run, tmp_path)
    (tmp_path / "report.html").write_text("<HTML>")  # of the same size
    (tmp_path / "config.json").unlink()
    assert fetch(run, tmp_path)[::2] == (2, 3)
    assert files(tmp_path) == FILES


@pytest.mark.parametrize("fault", ["drop", "fail"])
def test_run_is_complete_despite_temporary_failures(gcs, run: str, tmp_path: Path, fault: str):
    if fault == "drop":
        gcs.drop("GET /download/", times=2)
    else:
        gcs.fail(503, "GET /download/", times=2)
    fetch(run, tmp_path)
    assert files(tmp_path) == FILES


def test_failed_download_leaves_no_part_of_a_file(gcs, run: str, tmp_path: Path):
    gcs.fail(403, "GET /download/.*report", times=9)
    with pytest.raises(UsageError, match=r"roles/storage\.objectUser"):
        fetch(run, tmp_path)
    assert not (tmp_path / "report.html").exists()
    assert not (tmp_path / ".report.html.part").exists()


def test_unwritable_folder_cannot_be_written(run: str, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="file"):
        fetch(run, tmp_path / "file")


def test_missing_run_and_names_outside_of_the_folder_are_refused(run: str, tmp_path: Path):
    with pytest.raises(UsageError, match="there is nothing at"):
        fetch(f"{run}-2", tmp_path)
    google_storage.write_text(google_storage.client("project"), f"{run}/../outside", "x")
    with pytest.raises(UsageError, match="would leave"):
        fetch(run.rsplit("/", 1)[0], tmp_path)
