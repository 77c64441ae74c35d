"""A prepared data set on its way to a bucket."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from trainer.cloud import google_storage
from trainer.cloud.upload import SUMMARY, Uploaded, upload
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

ROOT = Path(__file__).parents[2]
HOME = "radiographs/2.0.0"
SHARDS = {f"train-{number}": bytes([number]) * (1000 + number) for number in range(12)}
PIECE = 3 * 2**20  # three of them are more than the client sends in one
LARGE = {"large": bytes(range(256)) * (3 * PIECE // 256) + b"end"}
MAIN = """
from pathlib import Path
from trainer.cloud import google_storage, upload
from trainer.commands.program import ending_at_signals, run

def main(argv):
    with ending_at_signals("what was sent stays; the same command goes on"):
        upload.upload(google_storage.client(), Path(argv[1]), argv[2])

run(main, arguments=["FOLDER", "URL"])
"""


def prepare(folder: Path, shards: dict[str, bytes], **recipe: object) -> Path:
    """Writes what trainer prepare would, of other content."""
    files = {**shards, "dataset_info.json": b"{}"}
    (folder / HOME).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / HOME / name).write_bytes(content)
    listed = [
        {"file": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    ]
    summary = {"source": "a.zip", "fingerprint": "f", "max_side": 512, **recipe, "shards": listed}
    (folder / SUMMARY).write_text(json.dumps(summary))
    return folder


def data_set(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def held(url: str) -> dict[str, bytes]:
    """Returns what a bucket holds."""
    found = google_storage.objects(google_storage.client(), url)
    return {name: blob.download_as_bytes() for name, blob in found.items()}


def other_writes(gcs, url: str, name: str) -> None:
    """Writes an object as another process does, whatever this one is kept waiting for."""
    behind = Client("p", AnonymousCredentials(), client_options={"api_endpoint": gcs.behind})
    bucket, path = google_storage.split(url)
    behind.bucket(bucket).blob(f"{path}/{name}").upload_from_string("another's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path / "data", SHARDS)


@pytest.fixture
def url(gcs) -> str:
    return f"gs://{gcs.bucket()}/data"


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with a file that is sent in four pieces."""
    monkeypatch.setattr("trainer.cloud.upload.PIECE", PIECE)
    return prepare(tmp_path / "data", LARGE)


def test_a_prepared_data_set_arrives_whole(url, phantoms, tmp_path):
    folder = Path(shutil.copytree(phantoms, tmp_path / "data"))
    (folder / "audit.json").write_text("{}")
    (folder / "notes.txt").write_text("no part of it")
    sent = upload(google_storage.client(), folder, f"{url}/")
    local = data_set(folder)
    for other in (".radiograph-trainer.lock", "notes.txt"):
        del local[other]
    assert held(url) == local
    assert sent == Uploaded(len(local), sum(map(len, local.values())), 0)


def test_what_is_there_is_not_sent_again(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    gcs.requests.clear()
    assert upload(google_storage.client(), folder, url) == Uploaded(0, 0, len(SHARDS) + 2)
    assert {asked.method for asked in gcs.asked(url)} == {"GET"}


def test_one_changed_file_is_one_sent(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    gcs.requests.clear()
    (folder / "audit.html").write_text("audited")
    assert upload(google_storage.client(), folder, url) == Uploaded(1, 7, len(SHARDS) + 2)
    assert gcs.sent(url) == ["data/audit.html"]
    assert held(url) == data_set(folder)


def test_another_content_of_the_same_size_is_replaced(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    wrong = google_storage.objects(google_storage.client(), url)[f"{HOME}/train-3"]
    wrong.upload_from_string(b"w" * wrong.size)
    gcs.requests.clear()
    assert upload(google_storage.client(), folder, url).files == 2
    assert gcs.sent(url) == [f"data/{HOME}/train-3", f"data/{SUMMARY}"]
    assert held(url) == data_set(folder)


def test_the_summary_is_away_while_shards_are_replaced_and_comes_last(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    assert gcs.sent(url)[-1] == f"data/{SUMMARY}"
    gcs.requests.clear()
    prepare(folder, {name: content[::-1] + b"." for name, content in SHARDS.items()})
    gcs.lose("^DELETE ")
    upload(google_storage.client(), folder, url)
    writes = [(asked.method, asked.name) for asked in gcs.asked(url) if asked.method != "GET"]
    assert writes[:2] == [("DELETE", f"data/{SUMMARY}")] * 2  # the first without an answer
    assert writes[-1] == ("POST", f"data/{SUMMARY}")
    assert len(writes) == len(SHARDS) + 3
    assert held(url) == data_set(folder)


@pytest.mark.parametrize("status", [429, 503])
def test_passing_failures_are_survived(gcs, url, folder, status):
    gcs.fail(status, "^POST /upload/", times=5, after=2)
    assert upload(google_storage.client(), folder, url).files == len(SHARDS) + 2
    assert held(url) == data_set(folder)


def test_lost_connections_and_answers_are_survived(gcs, url, folder):
    gcs.drop("^POST /upload/", times=3)
    gcs.lose("^POST /upload/", times=3)
    gcs.lose("GET .*/o\\?")
    assert upload(google_storage.client(), folder, url).files == len(SHARDS) + 2
    assert held(url) == data_set(folder)


@pytest.mark.parametrize("fault", ["drop", "503"])
def test_a_large_file_that_is_cut_goes_on_from_there(gcs, url, large, fault):
    if fault == "drop":
        gcs.drop("^PUT /upload/", after=1)
    else:
        gcs.fail(503, "^PUT /upload/", after=1)
    upload(google_storage.client(), large, url)
    assert held(url) == data_set(large)
    pieces = [asked.status for asked in gcs.asked(url) if asked.method == "PUT"]
    assert len(pieces) == 5 and pieces[1] == (0 if fault == "drop" else 503)


@pytest.mark.parametrize("after", [1, 3])
def test_a_large_file_of_which_the_service_loses_track_is_sent_again(gcs, url, large, after):
    # This server takes a repeated piece for the next one, and forgets the session with the last.
    gcs.lose("^PUT /upload/", after=after)
    upload(google_storage.client(), large, url)
    assert held(url) == data_set(large)


def test_a_session_that_is_over_is_opened_again(gcs, url, large):
    gcs.fail(410, "^PUT /upload/", after=1)
    upload(google_storage.client(), large, url)
    assert held(url) == data_set(large)


def test_a_killed_upload_goes_on_with_the_rest(gcs, url, folder):
    let_go = gcs.hold("^POST /upload/", after=9)
    killed = subprocess.Popen(
        [sys.executable, "-c", MAIN, folder, url], env=gcs.environment, cwd=ROOT
    )
    assert gcs.reached.wait(60)
    killed.kill()
    killed.wait()
    before = held(url)
    assert 1 < len(before) < len(SHARDS) and SUMMARY not in before
    gcs.work()
    let_go.set()
    assert upload(google_storage.client(), folder, url).unchanged >= len(before)
    assert not set(gcs.sent(url)) & {f"data/{name}" for name in before}
    assert held(url) == data_set(folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_at_once_and_leaves_what_was_sent(gcs, url, folder, number):
    gcs.hold("^POST /upload/", after=9)
    stopped = subprocess.Popen(
        [sys.executable, "-c", MAIN, folder, url],
        env=gcs.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert gcs.reached.wait(60)
    stopped.send_signal(number)
    _, said = stopped.communicate(timeout=20)  # though requests are still held
    assert stopped.returncode == 128 + number
    assert said == (f"stopped: by {number.name}; what was sent stays; the same command goes on.\n")
    assert SUMMARY not in held(url)
    assert held(url).items() <= data_set(folder).items() and len(held(url)) > 1


def test_a_bucket_that_takes_nothing_ends_in_one_sentence(gcs, url, folder):
    gcs.fail(403, "^POST /upload/", times=1000, message="no access")
    with pytest.raises(UsageError) as refused:
        upload(google_storage.client(), folder, url)
    assert str(refused.value).count("\n") == 0
    assert "(no access): grant them roles/storage.objectUser on gs://bucket-" in str(refused.value)
    assert held(url) == {}


@pytest.mark.parametrize("recipe", [{"fingerprint": "other"}, {"max_side": 256}])
def test_another_data_set_is_not_mixed_in(gcs, url, folder, tmp_path, recipe):
    upload(google_storage.client(), folder, url)
    gcs.requests.clear()
    other = prepare(tmp_path / "other", {"train-0": b"other"}, **recipe)
    with pytest.raises(UsageError, match="holds another data set, made from a.zip"):
        upload(google_storage.client(), other, url)
    assert held(url) == data_set(folder) and gcs.sent(url) == []


def test_a_damaged_summary_in_the_bucket_is_not_replaced(url, folder):
    google_storage.write_text(google_storage.client(), f"{url}/{SUMMARY}", "{")
    with pytest.raises(UsageError, match="holds another data set"):
        upload(google_storage.client(), folder, url)


def test_what_another_process_wrote_meanwhile_is_not_replaced(gcs, url, folder):
    let_go = gcs.hold("^POST /upload/")
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(upload, google_storage.client(), folder, url)
        assert gcs.reached.wait(60)
        other_writes(gcs, url, f"{HOME}/train-3")
        let_go.set()
        with pytest.raises(CannotWrite, match="was written by another process meanwhile"):
            uploading.result()
    assert held(url)[f"{HOME}/train-3"] == b"another's" and SUMMARY not in held(url)


def test_what_another_process_replaced_meanwhile_is_noticed(gcs, url, folder):
    let_go = gcs.hold(r"GET .*/o\?", after=1)
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(upload, google_storage.client(), folder, url)
        assert gcs.reached.wait(60)
        other_writes(gcs, url, f"{HOME}/train-3")
        let_go.set()
        with pytest.raises(CannotWrite, match="train-3 was changed by another process"):
            uploading.result()
    assert SUMMARY not in held(url)


def test_a_folder_without_a_prepared_data_set_is_refused(gcs, url, tmp_path):
    with pytest.raises(UsageError, match="holds no prepared data set: make one with"):
        upload(google_storage.client(), tmp_path, url)
    assert gcs.asked(url) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"classes": []}', '{"shards": [{}]}'])
def test_a_summary_that_tells_no_shards_is_refused(url, tmp_path, text):
    (tmp_path / SUMMARY).write_text(text)
    with pytest.raises(UsageError, match="is damaged, or of an earlier version"):
        upload(google_storage.client(), tmp_path, url)


@pytest.mark.parametrize("content", [None, b"short", b"w" * len(SHARDS["train-5"])])
def test_a_shard_that_is_not_what_was_prepared_is_not_sent(gcs, url, folder, content):
    shard = folder / HOME / "train-5"
    shard.unlink()
    if content is not None:
        shard.write_bytes(content)
    with pytest.raises(UsageError, match=r"train-5 is missing or not what was prepared"):
        upload(google_storage.client(), folder, url)
    assert gcs.sent(url) == []


def test_a_file_that_cannot_be_read_is_told(gcs, url, folder):
    (folder / "audit.html").symlink_to("/proc/self/mem")  # of which the first byte is not there
    with pytest.raises(UsageError, match="cannot be read: Input/output error"):
        upload(google_storage.client(), folder, url)
    assert gcs.sent(url) == []


def test_a_file_that_changes_on_its_way_is_noticed(gcs, url, folder):
    let_go = gcs.hold("^POST /upload/")
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(upload, google_storage.client(), folder, url)
        assert gcs.reached.wait(60)
        (folder / HOME / "dataset_info.json").write_text("[]")  # the smallest is sent last
        let_go.set()
        with pytest.raises(CannotWrite, match="dataset_info.json changed while it was sent"):
            uploading.result()
    assert SUMMARY not in held(url)


def test_the_progress_is_what_has_arrived(gcs, url, large, tmp_path):
    let_go = gcs.hold("^PUT /upload/", after=2)
    shown = tmp_path / "shown"
    with open(shown, "w") as opened, ThreadPoolExecutor() as pool:
        line = LiveLine(opened, every_seconds=0.0)
        uploading = pool.submit(upload, google_storage.client(), large, url, line)
        deadline = time.monotonic() + 60
        while "sent 6 of 9 MB, " not in shown.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        waiting = shown.read_text()
        let_go.set()
        uploading.result()
    assert "checked 9 of 9 MB, " in waiting
    assert re.fullmatch(r"sent 6 of 9 MB, [\d.]+ MB/s, \d+:\d\d left", waiting.splitlines()[-1])
    last = shown.read_text().splitlines()[-1]
    assert re.fullmatch(r"sent 9 of 9 MB, [\d.]+ MB/s, 0:00 left", last)
