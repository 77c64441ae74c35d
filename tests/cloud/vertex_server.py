"""A server on this machine that answers as Vertex AI and Cloud Logging do, to Google's own types.

A job is read into the protobuf type of Google's client, so that an unknown field or a wrong value
is a 400 as there; states go on with every look at a job.
"""

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

TYPES = {"customJobs": CustomJob, "hyperparameterTuningJobs": HyperparameterTuningJob}
JOBS = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+)/(\w+)")
JOB = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/\w+/\d+)(:cancel)?")
STATES = ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]


class Asked(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]


class Vertex:
    """The service.

    Attributes:
      address: to which an endpoint is set.
      asked: every request.
      failures: answers to the next requests for jobs, in place of the right one: a status with a
        message and headers, "drop" for none at all, "late" for a job taken without an answer.
      states: of the jobs that are created from now on.
      error: why those fail that fail.
      log: entries of Cloud Logging.
    """

    def __init__(self):
        self.asked: list[Asked] = []
        self.failures: list[Any] = []
        self.jobs: dict[str, dict] = {}
        self.states, self.error, self.log = list(STATES), "", []
        self._coming: dict[str, list[str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *c: _Answer(self, *c))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """Leads programs here, gcloud too."""
        return {
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{self.address}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING": f"{self.address}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": "project",
        }

    def posted(self) -> list[Any]:
        """Returns what was sent to be created."""
        return [a.body for a in self.asked if a.method == "POST" and JOBS.fullmatch(_bare(a.path))]

    def create(self, parent: str, kind: str, body: Any) -> dict:
        message = TYPES[kind].pb(TYPES[kind]())
        json_format.ParseDict(body, message)
        name = f"{parent}/{kind}/{1000 + len(self.jobs)}"
        job = json_format.MessageToDict(message)
        job |= {"name": name, "state": self.states[0], "createTime": "2026-11-25T10:00:00Z"}
        self.jobs[name], self._coming[name] = job, self.states[1:]
        return job

    def look(self, name: str) -> dict:
        job = self.jobs[name]
        if self._coming[name]:
            job["state"] = self._coming[name].pop(0)
        if job["state"] == "JOB_STATE_FAILED":
            job["error"] = {"code": 3, "message": self.error}
        return job

    def cancel(self, name: str) -> None:
        self._coming[name] = ["JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"]

    def matching(self, kind: str, wanted: str) -> list[dict]:
        label, value = re.fullmatch(r"labels\.(\w+)=(.*)", wanted).groups()
        jobs = [job for name, job in self.jobs.items() if f"/{kind}/" in name]
        return [job for job in jobs if job.get("labels", {}).get(label) == value]


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, vertex: Vertex, *connection: object):
        self.vertex = vertex
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self._take(body)

    def do_GET(self) -> None:
        self._take(None)

    def _take(self, body: Any) -> None:
        vertex = self.vertex
        vertex.asked.append(Asked(self.command, self.path, body, dict(self.headers)))
        failure = vertex.failures.pop(0) if vertex.failures else None
        if failure == "late" and (new := JOBS.fullmatch(_bare(self.path))):
            vertex.create(*new.groups(), body)
        if failure in ("drop", "late"):
            self.close_connection = True
            return self.connection.close()
        if failure:
            status, message, headers = failure
            return self._send(status, {"error": {"code": status, **message}}, headers)
        try:
            self._send(200, self._answered(body))
        except KeyError as missing:
            self._send(404, {"error": {"code": 404, "message": f"not found: {missing}"}})
        except json_format.ParseError as mistake:
            self._send(400, {"error": {"code": 400, "message": str(mistake)}})

    def _answered(self, body: Any) -> dict:
        path, vertex = _bare(self.path), self.vertex
        if path == "/v2/entries:list":
            after = re.search(r'timestamp>"([^"]*)"', body["filter"])
            return {"entries": [e for e in vertex.log if not after or e["timestamp"] > after[1]]}
        if jobs := JOBS.fullmatch(path):
            parent, kind = jobs.groups()
            if self.command == "POST":
                return vertex.create(parent, kind, body)
            query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
            return {kind: vertex.matching(kind, query["filter"][0])}
        name, cancelled = JOB.fullmatch(path).groups()
        if cancelled:
            vertex.jobs[name]  # a KeyError is a 404
            vertex.cancel(name)
            return {}
        return vertex.look(name)

    def _send(self, status: int, content: dict, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


def _bare(path: str) -> str:
    return path.split("?")[0]
