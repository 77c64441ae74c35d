"""A bucket's data set is copied to the local disk once, whole and verified."""

import errno
import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from etils import epath

from trainer.data import dataset, staging, summary_file
from trainer.system import gcs
from trainer.system.errors import CannotWrite, DataLost, UsageError

COPY = """
import shutil, sys
from etils import epath
from trainer.data import staging, summary_file
source, target = map(epath.Path, sys.argv[1:])
staging.publish(summary_file.directory(source), summary_file.directory(target))
summary_file.write(target, summary_file.read(source))
"""
STAGE = """
import json, sys
from etils import epath
from trainer.system import errors
from trainer.data import data_split, staging
try:
    found = staging.local(sys.argv[1], folder=sys.argv[2])
except errors.ExitError as ending:
    sys.exit(str(ending))
print(json.dumps([str(found), data_split.open_split(found, "train").size]))
"""


@pytest.fixture(scope="module")
def remote(running_bucket, phantoms: epath.Path) -> str:
    """A prepared data set in the bucket."""
    done = running_bucket.run("-c", COPY, str(phantoms), "gs://bucket/phantoms")
    assert done.returncode == 0, done.stderr
    return "gs://bucket/phantoms"


def staged(done: subprocess.CompletedProcess) -> tuple[Path, int]:
    assert done.returncode == 0, done.stderr
    path, size = json.loads(done.stdout)
    return Path(path), size


def test_a_local_data_set_stays_where_it_is(phantoms: epath.Path):
    assert staging.local(phantoms) == phantoms


def test_a_bucket_or_disk_that_cannot_be_written_ends_in_a_sentence(tmp_path: Path):
    sentence = "cannot be written: No space left on device"
    with pytest.raises(CannotWrite, match=sentence), staging.writable(epath.Path(tmp_path)):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_errors_are_not_about_writing(tmp_path: Path):
    with pytest.raises(FileNotFoundError), staging.writable(epath.Path(tmp_path)):
        (tmp_path / "nothing").read_bytes()


@pytest.fixture
def seemingly_remote(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes local folders for buckets."""
    monkeypatch.setattr(gcs, "is_gcs", lambda path: "phantoms" in str(path))


@pytest.mark.usefixtures("seemingly_remote")
def test_what_exceeds_the_bound_is_refused(phantoms: epath.Path, tmp_path: Path):
    with pytest.raises(
        UsageError, match=r"takes 0\.00 GiB, and .* holds 0\.00 GiB of the 0\.00 GiB"
    ):
        staging.local(phantoms, room=1000, folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


@pytest.mark.usefixtures("seemingly_remote")
def test_what_the_disk_has_no_room_for_is_refused(
    phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UsageError, match="make room, or set XDG_CACHE_HOME"):
        staging.local(phantoms, folder=tmp_path)


@pytest.mark.usefixtures("seemingly_remote")
def test_what_a_killed_process_left_is_replaced(phantoms: epath.Path, tmp_path: Path):
    place = staging.local(phantoms, folder=tmp_path)
    shard = next(summary_file.directory(place).glob("*train*"))
    place.rename(tmp_path / f"{place.name}.partial")
    (tmp_path / f"{place.name}.partial" / "half").write_bytes(b"half")
    assert staging.local(phantoms, folder=tmp_path) == place
    assert shard.exists() and not (place / "half").exists()


@pytest.mark.usefixtures("seemingly_remote")
def test_it_lies_in_the_users_cache(
    phantoms: epath.Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = staging.local(phantoms)
    assert place.parent == tmp_path / "radiograph-trainer" / "staged"


@pytest.mark.usefixtures("seemingly_remote")
def test_a_file_that_is_missing_ends_in_a_sentence(phantoms: epath.Path, tmp_path: Path):
    damaged = epath.Path(tmp_path / "phantoms")
    shutil.copytree(phantoms, damaged)
    next(summary_file.directory(damaged).glob("*test*")).unlink()
    with pytest.raises(DataLost, match="cannot be read: .*test"):
        staging.local(damaged, folder=tmp_path / "staged")


@pytest.mark.slow
def test_it_is_copied_once_and_is_what_was_prepared(
    bucket, remote: str, phantoms: epath.Path, tmp_path: Path
):
    path, size = staged(bucket.run("-c", STAGE, remote, str(tmp_path)))
    summary = summary_file.read(phantoms)
    assert summary_file.read(path) == summary
    assert dataset.shards(summary_file.directory(path)) == summary["shards"]
    assert size == summary["splits"]["train"]["images"]
    before = len(bucket.downloads())
    assert staged(bucket.run("-c", STAGE, remote, str(tmp_path)))[0] == path
    asked = bucket.downloads()[before:]
    assert asked and all(summary_file.SUMMARY in name for name in asked)


@pytest.mark.slow
def test_it_is_copied_whole_though_the_bucket_fails_now_and_then(
    bucket, remote: str, phantoms: epath.Path, tmp_path: Path
):
    bucket.fail(unavailable=2, dropped=2, wrong=1)
    path, _ = staged(bucket.run("-c", STAGE, remote, str(tmp_path)))
    assert dataset.shards(summary_file.directory(path)) == summary_file.read(phantoms)["shards"]


@pytest.mark.slow
def test_two_processes_that_ask_at_once_copy_it_once(bucket, remote: str, tmp_path: Path):
    before = len(bucket.downloads())
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(bucket.run, "-c", STAGE, remote, str(tmp_path)) for _ in range(2)]
        paths = [staged(job.result())[0] for job in jobs]
    assert paths[0] == paths[1]
    asked = [name for name in bucket.downloads()[before:] if "array_record" in name]
    assert len(asked) == len(set(asked)) > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        ({"wrong": 1000}, "is not what was prepared (its checksum differs)"),
        ({"dropped": 1000}, "cannot be read"),
    ],
)
def test_a_bucket_that_keeps_failing_ends_in_a_sentence(
    bucket, remote: str, tmp_path: Path, faults: dict, sentence: str
):
    bucket.fail(**faults)
    done = bucket.run("-c", STAGE, remote, str(tmp_path))
    assert done.returncode == 1
    assert sentence in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
