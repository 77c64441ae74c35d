"""Downloads survive dropped connections and busy servers, and never keep wrong bytes."""

import hashlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer.data.sources import public_sets
from trainer.data.sources.public_sets import Download, fetch
from trainer.system import file_lock
from trainer.system.errors import UsageError

CONTENT = bytes(range(256)) * 1000
CHECKSUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT on this machine, as badly as `behaviours` say, one a request."""

    def __init__(self):
        self.behaviours: list[Callable[[http.server.BaseHTTPRequestHandler], bool]] = []
        self.ranges: list[str | None] = []
        self.content = CONTENT
        self.etag = '"one"'
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.ranges.append(self.headers["Range"])
                if served.behaviours and served.behaviours.pop(0)(self):
                    return
                served.serve(self, len(served.content))

            def log_message(self, *arguments: object) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/set.zip"

    def serve(self, handler: http.server.BaseHTTPRequestHandler, stop: int, ranges=True) -> None:
        """Answers with the range asked for, and breaks off before byte `stop`."""
        asked, start = handler.headers["Range"], 0
        if asked and ranges and handler.headers["If-Range"] in (None, self.etag):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            handler.send_response(206 if start < len(self.content) else 416)
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/*")
        else:
            handler.send_response(200)
        handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(max(0, len(self.content) - start)))
        handler.end_headers()
        handler.wfile.write(self.content[start:stop])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(public_sets, "PAUSE_SECONDS", 0.01)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def wanted(server: Server) -> Download:
    return Download(server.url, "set.zip", CHECKSUM)


def drops(server: Server, after: int, ranges: bool = True) -> Callable:
    def behave(handler: http.server.BaseHTTPRequestHandler) -> bool:
        server.serve(handler, after, ranges)
        return True

    return behave


def answers(status: int) -> Callable:
    def behave(handler: http.server.BaseHTTPRequestHandler) -> bool:
        handler.send_error(status)
        return True

    return behave


def left_in(folder: Path) -> list[str]:
    return sorted({file.name for file in folder.iterdir()} - {file_lock.FILE})


def test_a_file_is_downloaded_once(
    server: Server, wanted: Download, tmp_path: Path, capsys: pytest.CaptureFixture
):
    folder = tmp_path / "cache"
    assert fetch(wanted, folder).read_bytes() == CONTENT
    assert fetch(wanted, folder) == folder / "set.zip"
    assert server.ranges == [None] and left_in(folder) == ["set.zip"]
    assert capsys.readouterr().err == ""  # no bar where there is no terminal


def test_a_dropped_connection_is_taken_up_where_it_broke(
    server: Server, wanted: Download, tmp_path: Path
):
    server.behaviours = [drops(server, 100_000), drops(server, 200_000), answers(503)]
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=65536-", "bytes=196608-", "bytes=196608-"]
    assert left_in(tmp_path) == ["set.zip"]


def test_the_next_call_goes_on_from_what_is_there(server: Server, wanted: Download, tmp_path: Path):
    server.behaviours = [drops(server, 100_000), *[answers(503)] * public_sets.ATTEMPTS]
    with pytest.raises(UsageError, match="the server answers 503"):
        fetch(wanted, tmp_path)
    assert left_in(tmp_path) == ["set.zip.part", "set.zip.part.etag"]
    server.behaviours, server.ranges = [], []
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=65536-"]


def test_a_file_that_changed_meanwhile_starts_over(
    server: Server, wanted: Download, tmp_path: Path
):
    server.content, server.etag = b"an older version" * 9000, '"zero"'

    def drop_and_change(handler: http.server.BaseHTTPRequestHandler) -> bool:
        server.serve(handler, 100_000)
        server.content, server.etag = CONTENT, '"one"'
        return True

    server.behaviours = [drop_and_change]
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server: Server, wanted: Download, tmp_path: Path):
    server.behaviours = [drops(server, 100_000), drops(server, len(CONTENT), ranges=False)]
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_a_server_that_always_breaks_at_the_same_byte_is_given_up(
    server: Server, wanted: Download, tmp_path: Path
):
    server.behaviours = [drops(server, 100_000, ranges=False)] * 100
    with pytest.raises(UsageError, match="it broke off"):
        fetch(wanted, tmp_path)
    assert len(server.ranges) == public_sets.ATTEMPTS


def test_busy_servers_are_asked_again(server: Server, wanted: Download, tmp_path: Path):
    server.behaviours = [answers(503), answers(429), answers(500)]
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_kept(server: Server, wanted: Download, tmp_path: Path):
    (tmp_path / "set.zip.part").write_bytes(CONTENT)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


def test_wrong_bytes_are_refused_and_removed(server: Server, wanted: Download, tmp_path: Path):
    server.content = b"<html>Please log in</html>"
    with pytest.raises(UsageError, match="sent other bytes than published .* were removed"):
        fetch(wanted, tmp_path)
    assert left_in(tmp_path) == []


def test_a_file_that_is_gone_is_not_asked_for_again(
    server: Server, wanted: Download, tmp_path: Path
):
    server.behaviours = [answers(404)] * 3
    with pytest.raises(UsageError, match="the server answers 404.*put it at .*set.zip"):
        fetch(wanted, tmp_path)
    assert len(server.ranges) == 1


def test_without_a_network_the_sentence_says_where_to_put_the_file(server: Server, tmp_path: Path):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/set.zip"
        with pytest.raises(UsageError) as refusal:
            fetch(Download(url, "set.zip", CHECKSUM), tmp_path)
    assert f"download it by hand from {url} and put it at {tmp_path / 'set.zip'}" in str(
        refusal.value
    )
    assert "\n" not in str(refusal.value)


def test_a_file_put_there_by_hand_is_verified(server: Server, wanted: Download, tmp_path: Path):
    (tmp_path / "set.zip").write_bytes(CONTENT)
    assert fetch(wanted, tmp_path) == tmp_path / "set.zip"
    (tmp_path / "set.zip").write_bytes(b"something else")
    with pytest.raises(UsageError, match="is not the published file"):
        fetch(wanted, tmp_path)
    assert left_in(tmp_path) == ["set.zip"] and server.ranges == []


def test_a_folder_that_cannot_be_written_is_refused(wanted: Download, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        fetch(wanted, tmp_path / "file" / "cache")


def test_two_processes_do_not_download_at_the_same_time(wanted: Download, tmp_path: Path):
    with file_lock.held(tmp_path), pytest.raises(UsageError, match="in use by another job"):
        fetch(wanted, tmp_path)
    assert fetch(wanted, tmp_path).read_bytes() == CONTENT


def test_every_public_set_has_an_address_and_a_checksum():
    lengths = {"sha256": 64, "md5": 32}
    for wanted in public_sets.PUBLIC.values():
        algorithm, digest = wanted.checksum.split(":")
        assert wanted.url.startswith("https://") and len(digest) == lengths[algorithm]
