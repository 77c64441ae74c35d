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

from trainer.cloud import bucket_address, google_storage
from trainer.cloud.transfer import WORKERS, Transferred
from trainer.cloud.upload import SUMMARY, upload
from trainer.system.errors import CannotWrite, Unavailable, UsageError
from trainer.system.terminal import LiveLine

ROOT = Path(__file__).parents[2]
HOME = "radiographs/2.0.0"
SHARDS = {f"train-{number}": bytes([number]) * (1000 + number) for number in range(12)}
PIECE = 3 * 2**20  # three of them are more than the client sends in one
LARGE = {"large": bytes(range(256)) * (3 * PIECE // 256) + b"end"}
MAIN = """
from pathlib import Path
from trainer.cloud import bucket_address, google_storage, upload
from trainer.commands.command import Command
from trainer.commands.program import exit_at_signals, run

def main(argv):
    with exit_at_signals("what was sent stays"):
        upload.upload(google_storage.client(), Path(argv[1]), argv[2])

run(main, Command(arguments=["FOLDER", "URL"]))
"""


def prepare(folder: Path, shards: dict[str, bytes], **recipe: object) -> Path:
    """Writes what radiograph prepare would, of other content."""
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


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stored(url: str) -> dict[str, bytes]:
    """Returns the content of every object below `url`."""
    found = google_storage.objects(google_storage.client(), url)
    return {name: blob.download_as_bytes() for name, blob in found.items()}


def write_behind_the_proxy(gcs, url: str, name: str) -> None:
    """Writes an object as another process does, although this one's requests are held."""
    behind = Client("p", AnonymousCredentials(), client_options={"api_endpoint": gcs.behind})
    bucket, path = bucket_address.split(url)
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


def test_upload_stores_the_data_set_and_sends_it_once(gcs, url, phantoms, tmp_path):
    folder = Path(shutil.copytree(phantoms, tmp_path / "data"))
    (folder / "audit.json").write_text("{}")
    (folder / "notes.txt").write_text("no part of it")
    first = upload(google_storage.client(), folder, f"{url}/")
    local = content(folder)
    for other in (".radiograph-trainer.lock", "notes.txt"):
        del local[other]
    assert stored(url) == local
    assert first == Transferred(len(local), sum(map(len, local.values())), 0)
    gcs.requests.clear()
    assert upload(google_storage.client(), folder, url) == Transferred(0, 0, len(local))
    assert {request.method for request in gcs.asked(url)} == {"GET"}


def test_only_files_that_differ_are_sent_again(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    (folder / "audit.html").write_text("audited")
    gcs.requests.clear()
    assert upload(google_storage.client(), folder, url) == Transferred(1, 7, len(SHARDS) + 2)
    assert gcs.sent(url) == ["data/audit.html"]
    wrong = google_storage.objects(google_storage.client(), url)[f"{HOME}/train-3"]
    wrong.upload_from_string(b"w" * wrong.size)
    gcs.requests.clear()
    assert upload(google_storage.client(), folder, url).files == 2
    assert gcs.sent(url) == [f"data/{HOME}/train-3", f"data/{SUMMARY}"]
    assert stored(url) == content(folder)


def test_summary_is_removed_before_shards_are_replaced_and_written_last(gcs, url, folder):
    upload(google_storage.client(), folder, url)
    assert gcs.sent(url)[-1] == f"data/{SUMMARY}"
    gcs.requests.clear()
    prepare(folder, {name: shard[::-1] + b"." for name, shard in SHARDS.items()})
    gcs.lose("^DELETE ")
    upload(google_storage.client(), folder, url)
    writes = [(asked.method, asked.name) for asked in gcs.asked(url) if asked.method != "GET"]
    assert writes[:2] == [("DELETE", f"data/{SUMMARY}")] * 2  # the first without an answer
    assert writes[-1] == ("POST", f"data/{SUMMARY}")
    assert stored(url) == content(folder)


@pytest.mark.parametrize("fault", [429, 503, "lost"])
def test_upload_survives_temporary_failures(gcs, url, folder, fault):
    if fault == "lost":
        gcs.drop("^POST /upload/", times=3)
        gcs.lose("^POST /upload/", times=3)
        gcs.lose("GET .*/o\\?")
    else:
        gcs.fail(fault, "^POST /upload/", times=5, after=2)
    assert upload(google_storage.client(), folder, url).files == len(SHARDS) + 2
    assert stored(url) == content(folder)


def test_upload_to_a_service_that_is_down_gives_up_after_the_first_files(
    gcs, url, tmp_path, monkeypatch
):
    retry = google_storage.RETRY.with_delay(0.05, 0.1).with_timeout(0.3)
    monkeypatch.setattr(google_storage, "RETRY", retry)
    folder = prepare(tmp_path / "data", {f"train-{number}": b"x" for number in range(50)})
    gcs.fail(503, "^POST /upload/", times=10_000)
    with pytest.raises(Unavailable):
        upload(google_storage.client(), folder, url)
    assert len({request.name for request in gcs.asked(url) if request.sends}) == WORKERS


@pytest.mark.parametrize("fault", ["drop", "503"])
def test_interrupted_large_file_continues_at_its_last_piece(gcs, url, large, fault):
    if fault == "drop":
        gcs.drop("^PUT /upload/", after=1)
    else:
        gcs.fail(503, "^PUT /upload/", after=1)
    upload(google_storage.client(), large, url)
    assert stored(url) == content(large)
    pieces = [request.status for request in gcs.asked(url) if request.method == "PUT"]
    assert len(pieces) == 5 and pieces[1] == (0 if fault == "drop" else 503)


@pytest.mark.parametrize("fault", [1, 3, "gone"])
def test_large_file_is_sent_again_when_its_session_is_lost(gcs, url, large, fault):
    if fault == "gone":
        gcs.fail(410, "^PUT /upload/", after=1)
    else:  # this server takes a repeated piece for the next one, and forgets the session at the end
        gcs.lose("^PUT /upload/", after=fault)
    upload(google_storage.client(), large, url)
    assert stored(url) == content(large)


def test_large_file_of_whole_pieces_arrives(url, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.cloud.upload.PIECE", PIECE)
    folder = prepare(tmp_path / "data", {"large": bytes(2 * PIECE)})
    upload(google_storage.client(), folder, url)
    assert stored(url) == content(folder)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_upload_ended_by_a_signal_continues_with_the_rest(gcs, url, folder, number):
    gcs.hold("^POST /upload/", after=9)
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, folder, url],
        env=gcs.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert gcs.reached.wait(60)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)  # although requests are still held
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number
        assert stderr == f"stopped: by {number.name}; what was sent stays.\n"
    before = stored(url)
    assert 1 < len(before) < len(SHARDS) and SUMMARY not in before
    gcs.work()
    assert upload(google_storage.client(), folder, url).unchanged >= len(before)
    assert not set(gcs.sent(url)) & {f"data/{name}" for name in before}
    assert stored(url) == content(folder)


def test_bucket_without_permission_is_a_usage_error(gcs, url, folder):
    gcs.fail(403, "^POST /upload/", times=1000, message="no access")
    with pytest.raises(UsageError, match=r"\(no access\): grant them roles/storage.objectUser on"):
        upload(google_storage.client(), folder, url)
    assert stored(url) == {}


@pytest.mark.parametrize("recipe", [{"fingerprint": "other"}, {"max_side": 256}, None])
def test_another_data_set_is_not_overwritten(gcs, url, folder, tmp_path, recipe):
    upload(google_storage.client(), folder, url)
    if recipe:
        other = prepare(tmp_path / "other", {"train-0": b"other"}, **recipe)
    else:
        other = folder
        google_storage.write_text(google_storage.client(), f"{url}/{SUMMARY}", "{")
    before = stored(url)
    gcs.requests.clear()
    with pytest.raises(UsageError, match="holds another data set"):
        upload(google_storage.client(), other, url)
    assert stored(url) == before and gcs.sent(url) == []


@pytest.mark.parametrize(("held", "after"), [("^POST /upload/", 0), (r"GET .*/o\?", 1)])
def test_write_of_another_process_is_noticed_and_kept(gcs, url, folder, held, after):
    let_go = gcs.hold(held, after=after)
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(upload, google_storage.client(), folder, url)
        assert gcs.reached.wait(60)
        write_behind_the_proxy(gcs, url, f"{HOME}/train-3")
        let_go.set()
        with pytest.raises(CannotWrite, match="train-3 is not the file that was sent: another"):
            uploading.result(60)
    assert stored(url)[f"{HOME}/train-3"] == b"another's" and SUMMARY not in stored(url)


def test_file_that_changes_while_it_is_sent_is_noticed(gcs, url, folder):
    let_go = gcs.hold("^POST /upload/")
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(upload, google_storage.client(), folder, url)
        assert gcs.reached.wait(60)
        (folder / HOME / "dataset_info.json").write_text("[]")  # the smallest is sent last
        let_go.set()
        with pytest.raises(CannotWrite, match="dataset_info.json is not the file that was sent"):
            uploading.result(60)
    assert SUMMARY not in stored(url)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"classes": []}', '{"shards": [{}]}'])
def test_folder_without_a_valid_summary_is_refused(gcs, url, tmp_path, text):
    if text is not None:
        (tmp_path / SUMMARY).write_text(text)
    with pytest.raises(UsageError, match="no prepared data set|is damaged"):
        upload(google_storage.client(), tmp_path, url)
    assert gcs.asked(url) == []


@pytest.mark.parametrize("shard", [None, b"short", b"w" * len(SHARDS["train-5"])])
def test_damaged_shard_is_not_sent(gcs, url, folder, shard):
    file = folder / HOME / "train-5"
    file.unlink()
    if shard is not None:
        file.write_bytes(shard)
    with pytest.raises(UsageError, match=r"train-5 is missing or not what was prepared"):
        upload(google_storage.client(), folder, url)
    assert gcs.sent(url) == []


def test_unreadable_file_is_a_usage_error(gcs, url, folder):
    (folder / "audit.html").symlink_to("/proc/self/mem")  # whose first byte cannot be read
    with pytest.raises(UsageError, match="cannot be read: Input/output error"):
        upload(google_storage.client(), folder, url)
    assert gcs.sent(url) == []


def test_progress_counts_the_pieces_that_have_arrived(gcs, url, large, tmp_path):
    let_go = gcs.hold("^PUT /upload/", after=2)
    shown = tmp_path / "shown"
    with open(shown, "w") as opened, ThreadPoolExecutor() as pool:
        line = LiveLine(opened, every_seconds=0.0)
        uploading = pool.submit(upload, google_storage.client(), large, url, line=line)
        deadline = time.monotonic() + 60
        while "sent 6 of 9 MB, " not in shown.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        waiting = shown.read_text()
        let_go.set()
        uploading.result(60)
    assert "checked 9 of 9 MB, " in waiting
    assert re.fullmatch(r"sent 6 of 9 MB, [\d.]+ MB/s, \d+:\d\d left", waiting.splitlines()[-1])
    last = shown.read_text().splitlines()[-1]
    assert re.fullmatch(r"sent 9 of 9 MB, [\d.]+ MB/s, 0:00 left", last)
