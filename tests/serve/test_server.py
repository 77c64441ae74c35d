"""The process of a server: what it refuses to start with, what it logs, and how it ends."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from absl import flags
from etils import epath

from trainer.commands import serve
from trainer.data.synthetic import phantom
from trainer.serve import address, server
from trainer.serve.application import Service
from trainer.serve.gateway import Limits
from trainer.serve.metrics import Metrics
from trainer.system.errors import UsageError

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef"
NAME = "Doe^Jane.jpeg"


@pytest.fixture
def given() -> flags.FlagValues:
    values = flags.FlagValues()
    serve.define_flags(values)
    values(["serve"])
    return values


def test_extra_that_is_missing_is_one_sentence(
    given: flags.FlagValues, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flags, "FLAGS", given)
    monkeypatch.setattr(
        serve, "find_spec", lambda name: None if name == "fastapi" else find_spec(name)
    )
    with pytest.raises(
        UsageError, match=r"needs fastapi: pip install 'radiograph-trainer\[serve\]'"
    ):
        serve.main(["serve", str(tmp_path)])


def test_address_that_is_taken_or_foreign_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--port={port} cannot be used.*another program"):
            address.bind("127.0.0.1", port)
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(UsageError, match="an address of this machine"):
            address.bind(host, 0)


@pytest.mark.parametrize("content", ["", "\n", "short", "caf\u00e9" * 10, f"{TOKEN}\n{TOKEN}\n"])
def test_token_that_protects_nothing_is_refused(tmp_path: Path, content: str):
    (tmp_path / "token").write_text(content)
    with pytest.raises(UsageError, match="holds no token of 16"):
        serve._token(str(tmp_path / "token"))


def test_token_file_that_cannot_be_read_is_one_sentence(tmp_path: Path):
    (tmp_path / "latin").write_bytes(b"\xe9" * 20)
    for name in (".", "none", "latin"):
        with pytest.raises(UsageError, match="cannot be read: name a file"):
            serve._token(str(tmp_path / name))
    (tmp_path / "windows").write_bytes(TOKEN.encode() + b"\r\n")
    assert serve._token(str(tmp_path / "windows")) == TOKEN


@pytest.fixture
def process(lungs: epath.Path, tmp_path: Path) -> Iterator[subprocess.Popen]:
    (tmp_path / "token").write_text(TOKEN + "\n")
    command = [sys.executable, "-m", "trainer", "serve", str(lungs), "--port=0"]
    command += [f"--token_file={tmp_path / 'token'}", "--drain_seconds=2", "--verbosity=1"]
    started = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("w"),
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    yield started
    started.kill()
    started.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_server_that_is_stopped_answers_what_it_has_begun_and_leaves_no_trace(
    process: subprocess.Popen, tmp_path: Path
):
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("serving lungs at http://127.0.0.1:"), (tmp_path / "stderr").read_text()
    url = line.split()[-1]
    (_, jpeg), *_ = phantom.archive(1)
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        sent = client.post("/v1/radiographs", files={"file": (NAME, jpeg)})
        assert sent.json()["radiographs"][0]["name"] == NAME
        client.post("/v1/radiographs", files={"file": (NAME, b"no image")})
        client.post(f"/v1/models/{NAME}:predict", content=b"Doe^Jane")
        assert httpx.post(f"{url}/v1/radiographs").status_code == 401
        request = client.build_request("POST", "/v1/radiographs", files={"file": (NAME, jpeg)})
        body = request.read()
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection((request.url.host, request.url.port)) as begun:
            begun.sendall(f"POST /v1/radiographs HTTP/1.1\r\n{head}\r\n".encode() + body[:1000])
            process.send_signal(signal.SIGTERM)
            while client.get("/readyz").status_code == 200:
                pass
            assert client.get("/readyz").status_code == 503
            late = client.post("/v1/radiographs", files={"file": (NAME, jpeg)})
            assert late.status_code == 200
            process_ended = process.poll()
            begun.sendall(body[1000:])
            answer = begun.makefile("rb").read()
    assert process_ended is None and answer.startswith(b"HTTP/1.1 200")
    assert process.wait(60) == 143
    said = process.stdout.read() + (tmp_path / "stderr").read_text()
    assert said.endswith("stopped: by SIGTERM; requests in flight were answered.\n")
    assert not {"Doe", "Jane", "jpeg"} & set(re.split(r"\W", said))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stderr", "token"]


class Idle:
    """What a server needs of the rest where no request comes that far."""

    def __init__(self):
        self.decoders, self.closed = self, 0

    async def work(self) -> None:
        await asyncio.Event().wait()

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("signals", [1, 2])
def test_second_signal_cuts_off_what_is_in_flight_with_503(signals: int):
    idle = Idle()
    service = Service(cast(Any, None), cast(Any, idle), cast(Any, idle), Metrics(), Limits())
    running, bound = server.Server(service, drain=60), address.bind("127.0.0.1", 0)
    thread = threading.Thread(target=running.run, args=([bound],), daemon=True)
    host, port = bound.getsockname()
    thread.start()
    while not running.started:
        time.sleep(0.01)
    with socket.create_connection((host, port), 20) as slow:
        slow.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf ")
        while not running.server_state.tasks:
            time.sleep(0.01)
        running.handle_exit(signal.SIGINT, None)
        if signals == 2:
            running.handle_exit(signal.SIGTERM, None)
        else:
            time.sleep(0.3)
            slow.sendall(b"rest.")
        response = http.client.HTTPResponse(slow)
        response.begin()
        body = json.loads(response.read())
    thread.join(20)
    assert not thread.is_alive() and idle.closed == 1
    assert (response.status, running.finished) == ((404, True) if signals == 1 else (503, False))
    assert running.received is signal.SIGINT and isinstance(body["error"], str)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2**17 + b"\r\n\r\n", 400),
        (b"GET /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (
            b"POST /v1/models/x:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n",
            413,
        ),
        (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            200,
        ),
    ],
    ids=["no HTTP", "huge header", "wrong length", "large length", "websocket"],
)
def test_what_is_no_request_gets_an_answer_in_json(client: httpx.Client, sent: bytes, status: int):
    with socket.create_connection((client.base_url.host, client.base_url.port), 20) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        body = response.read()
    assert response.status == status and isinstance(json.loads(body), dict)
