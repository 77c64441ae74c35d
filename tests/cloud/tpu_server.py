"""A server on this machine that answers as the TPU API, Cloud Logging and a VM's metadata do.

What is created is checked against the TPU API's own document; an unknown field is a 400 as there.
"""

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from tests.cloud import discovery

TOKEN = "ya29.token-of-the-vm"
METADATA_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
PARENT = re.compile(r"/v2/(projects/[^/]+/locations/[^/]+/queuedResources)")
RESOURCE = re.compile(r"/v2/(projects/[^/]+/locations/[^/]+/queuedResources/[^/]+)")


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]


class Tpu:
    """The service.

    Attributes:
      address: to which an endpoint is set.
      asked: every request.
      resources: those queued, by their names.
      failures: answers to the next requests, in place of the right one: a status with a message and
        headers, "drop" for none at all, "late" for a resource taken without an answer.
      deletions: looks at a resource for which it is still there after it was deleted.
      log: entries of Cloud Logging.
    """

    def __init__(self):
        self.asked: list[Asked] = []
        self.resources: dict[str, dict] = {}
        self.failures: list[Any] = []
        self.deletions = 0
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
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_TPU": f"{self.address}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{self.address}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": "project",
        }

    def posted(self) -> list[Any]:
        """Returns what was sent to be created."""
        return [
            a.body for a in self.asked if a.method == "POST" and PARENT.fullmatch(_bare(a.path))
        ]

    def deleted(self) -> list[Asked]:
        return [a for a in self.asked if a.method == "DELETE"]

    def becomes(self, name: str, state: str, **more: Any) -> None:
        """Sets the state of a resource."""
        self.resources[name]["state"] = {"state": state, **more}

    def create(self, parent: str, identity: str, body: Any) -> tuple[int, dict]:
        name = f"{parent}/{identity}"
        if name in self.resources:
            return 409, _error(409, f"{name} already exists")
        if wrong := discovery.errors(body, "tpu", "v2", "QueuedResource"):
            return 400, _error(400, "; ".join(wrong))
        state = {"state": {"state": "WAITING_FOR_RESOURCES"}}
        created = {"name": name, "createTime": f"2026-11-25T10:00:{len(self.asked):02}Z"}
        self.resources[name] = {**body, **created, **state}
        return 200, {"name": "projects/project/locations/us-central1-a/operations/1", "done": True}

    def look(self, name: str) -> tuple[int, dict]:
        found = self.resources.get(name)
        if found and found["state"]["state"] == "DELETING":
            self.deletions -= 1
            if self.deletions < 0:
                del self.resources[name]
                found = None
        return (200, found) if found else (404, _error(404, f"{name} is not there"))

    def delete(self, name: str) -> tuple[int, dict]:
        if name not in self.resources:
            return 404, _error(404, f"{name} is not there")
        self.becomes(name, "DELETING")
        return 200, {"name": "projects/project/locations/us-central1-a/operations/2"}


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, tpu: Tpu, *connection: object):
        self.tpu = tpu
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _take(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(text) if text else None
        tpu, path = self.tpu, _bare(self.path)
        tpu.asked.append(Asked(self.command, self.path, body, dict(self.headers)))
        failing = path != METADATA_TOKEN and tpu.failures
        failure = tpu.failures.pop(0) if failing else None
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        if failure == "late" and (parent := PARENT.fullmatch(path)):
            tpu.create(parent[1], query["queuedResourceId"], body)
        if failure in ("drop", "late"):
            self.close_connection = True
            return self.connection.close()
        if failure:
            status, message, headers = failure
            return self._send(status, _error(status, **message), headers)
        self._send(*self._answered(path, query, body))

    do_GET = do_POST = do_DELETE = _take

    def _answered(self, path: str, query: dict[str, str], body: Any) -> tuple[int, dict]:
        tpu = self.tpu
        if path == METADATA_TOKEN:
            if self.headers.get("Metadata-Flavor") != "Google":
                return 403, {}
            return 200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        if path == "/v2/entries:list":
            after = re.search(r'timestamp>"([^"]*)"', body["filter"])
            return 200, {"entries": [e for e in tpu.log if not after or e["timestamp"] > after[1]]}
        if parent := PARENT.fullmatch(path):
            if self.command == "POST":
                return tpu.create(parent[1], query["queuedResourceId"], body)
            return 200, _page(list(tpu.resources.values()), query)
        if resource := RESOURCE.fullmatch(path):
            return (tpu.delete if self.command == "DELETE" else tpu.look)(resource[1])
        return 404, _error(404, f"there is no {path}")

    def _send(self, status: int, content: dict, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


def _page(found: list[dict], query: dict[str, str]) -> dict:
    """Returns one resource a page, so that what asks must go on."""
    first = int(query.get("pageToken", 0))
    page: dict[str, Any] = {"queuedResources": found[first : first + 1]}
    if first + 1 < len(found):
        page["nextPageToken"] = str(first + 1)
    return page


def _error(code: int, message: str, **more: Any) -> dict:
    return {"error": {"code": code, "message": message, **more}}


def _bare(path: str) -> str:
    return path.split("?")[0]
