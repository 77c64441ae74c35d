"""A server on this machine that stands for one of Google's interfaces, and fails when asked to."""

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ENTRIES = "/v2/entries:list"  # of Cloud Logging


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]


class Service:
    """What is common to them; Cloud Logging answers here too.

    Attributes:
      name: of the interface, as gcloud has it in its settings.
      address: to which an endpoint is set.
      asked: every request.
      failures: answers to the next requests, in place of the right one: a status with a message and
        headers, "drop" for none at all, "late" for one taken without an answer, None for the right
        one.
      log: entries of Cloud Logging.
    """

    name = ""

    def __init__(self):
        self.asked: list[Asked] = []
        self.failures: list[Any] = []
        self.log: list[dict] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *c: _Answer(self, *c))
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.address = f"http://{self.host}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """Leads programs here, gcloud too."""
        return {
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{self.name.upper()}": f"{self.address}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{self.address}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": "project",
        }

    def gcloud(self, command: Sequence[str], folder: Path) -> subprocess.CompletedProcess:
        """Runs Google's command line, with its settings in `folder`, or skips without it."""
        if shutil.which("gcloud") is None:
            pytest.skip("needs gcloud, Google's command line")
        alone = {
            "CLOUDSDK_CONFIG": str(folder / "gcloud"),
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        }
        return subprocess.run(
            command,
            env={**os.environ, **self.environment, **alone},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> tuple[int, dict]:
        """Returns status and content of the right answer."""
        raise NotImplementedError

    def answered(self, asked: Asked) -> tuple[int, dict]:
        address = urllib.parse.urlsplit(asked.path)
        if address.path == ENTRIES:
            after = re.search(r'timestamp>"([^"]*)"', asked.body["filter"])
            return 200, {"entries": [e for e in self.log if not after or e["timestamp"] > after[1]]}
        return self.answer(asked, address.path, dict(urllib.parse.parse_qsl(address.query)))

    def fails(self, path: str) -> bool:
        """Whether a request to `path` may take the next failure."""
        del path
        return True


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, service: Service, *connection: object):
        self.service = service
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _take(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(
            self.command, self.path, json.loads(text) if text else None, dict(self.headers)
        )
        service = self.service
        service.asked.append(asked)
        failing = service.failures and service.fails(self.path)
        failure = service.failures.pop(0) if failing else None
        if failure == "late":
            service.answered(asked)
        if failure in ("drop", "late"):
            self.close_connection = True
            return self.connection.close()
        if failure:
            status, message, headers = failure
            return self._send(status, error(status, **message), headers)
        self._send(*service.answered(asked))

    do_GET = do_POST = do_DELETE = _take

    def _send(self, status: int, content: dict, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


def error(code: int, message: str, **more: Any) -> dict:
    """Returns what Google's interfaces send for a mistake."""
    return {"error": {"code": code, "message": message, **more}}
