"""A Kubernetes API on this machine for kubectl itself: namespaces' Jobs, Services and Pods.

What is created is held against Kubernetes' published schema; an unknown field is a 400 as there.
"""

import json
import re
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kubernetes_validate
import yaml

VERSION = "1.31"
OBJECTS = re.compile(
    r"/(api/v1|apis/batch/v1)/namespaces/default/(jobs|services|pods)(?:/([^/]+))?"
)
LOG = re.compile(r"/api/v1/namespaces/default/pods/([^/]+)/log")
KINDS = {"jobs": "Job", "services": "Service", "pods": "Pod"}
VERBS = ["create", "delete", "get", "list", "patch"]


class Cluster:
    """The API.

    Attributes:
      objects: by kind and name.
      logs: lines of the pods, each after its time, by the pods' names.
      created: what was, in order.
      refusal: of all that is to be created from now on; "" for none.
    """

    def __init__(self):
        self.objects: dict[tuple[str, str], dict] = {}
        self.logs: dict[str, list[str]] = {}
        self.refusal = ""
        self.created: list[dict] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *c: _Answer(self, *c))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def config(self) -> str:
        """Returns a kubeconfig that leads here."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        context = {"cluster": "here", "user": "nobody", "namespace": "default"}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "here", "cluster": {"server": address}}],
                "users": [{"name": "nobody", "user": {}}],
                "contexts": [{"name": "here", "context": context}],
                "current-context": "here",
            }
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def create(self, kind: str, body: dict) -> tuple[int, dict]:
        try:
            kubernetes_validate.validate(body, VERSION, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            return 400, _status(400, "BadRequest", wrong.message)
        if self.refusal:
            return 403, _status(403, "Forbidden", self.refusal)
        metadata = body["metadata"]
        metadata["creationTimestamp"] = f"2026-11-25T10:00:{len(self.created):02}Z"
        self.objects[kind, metadata["name"]] = body
        self.created.append(body)
        return 201, body

    def listed(self, kind: str, selector: str) -> dict:
        wanted = dict(pair.split("=") for pair in selector.split(",") if pair)
        items = [
            found
            for (its_kind, _), found in self.objects.items()
            if its_kind == kind and wanted.items() <= found["metadata"].get("labels", {}).items()
        ]
        version = "batch/v1" if kind == "jobs" else "v1"
        return {"kind": f"{KINDS[kind]}List", "apiVersion": version, "items": items}


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, cluster: Cluster, *connection: object):
        self.cluster = cluster
        super().__init__(*connection)

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _take(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        address = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(address.query))
        if log := LOG.fullmatch(address.path):
            lines = self.cluster.logs.get(log[1], [])
            since = query.get("sinceTime", "")
            return self._send(
                200, "".join(f"{x}\n" for x in lines if x[: len(since) - 1] >= since[:-1])
            )
        self._send(*self._answered(address.path, query, json.loads(text) if text else {}))

    do_GET = do_POST = do_DELETE = do_PATCH = _take

    def _answered(self, path: str, query: dict[str, str], body: dict) -> tuple[int, dict]:
        if path in _DISCOVERY:
            return 200, _DISCOVERY[path]
        if not (found := OBJECTS.fullmatch(path)):
            return 404, _status(404, "NotFound", f"there is no {path}")
        _, kind, name = found.groups()
        if self.command == "POST":
            return self.cluster.create(kind, body)
        if not name:
            return 200, self.cluster.listed(kind, query.get("labelSelector", ""))
        if (kind, name) not in self.cluster.objects:
            return 404, _status(404, "NotFound", f'{kind}.batch "{name}" not found')
        if self.command == "DELETE":
            del self.cluster.objects[kind, name]
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success"}
        return 200, self.cluster.objects[kind, name]

    def _send(self, status: int, content: Any) -> None:
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        kind = "text/plain" if isinstance(content, str) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _status(code: int, reason: str, message: str) -> dict:
    return {
        **{"kind": "Status", "apiVersion": "v1", "status": "Failure"},
        **{"code": code, "reason": reason, "message": message},
    }


def _resources(version: str, kinds: list[str]) -> dict:
    return {
        "kind": "APIResourceList",
        "groupVersion": version,
        "resources": [
            {
                **{"name": kind, "singularName": kind[:-1], "namespaced": True},
                **{"kind": KINDS[kind], "verbs": VERBS},
            }
            for kind in kinds
        ],
    }


def _document(group: str, version: str, kind: str, path: str) -> dict:
    """Returns what tells kubectl that the server checks the fields of a kind by itself."""
    named = {"group": group, "version": version, "kind": kind}
    fields = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    patch = {
        "x-kubernetes-group-version-kind": named,
        "parameters": fields,
        "responses": {"200": {"description": "OK"}},
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "", "version": ""},
        "paths": {path: {"patch": patch}},
    }


_BATCH = {"groupVersion": "batch/v1", "version": "v1"}
_DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [_BATCH], "preferredVersion": _BATCH}],
    },
    "/api/v1": _resources("v1", ["services", "pods"]),
    "/apis/batch/v1": _resources("batch/v1", ["jobs"]),
    "/openapi/v3": {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}"}
            for path in ("api/v1", "apis/batch/v1")
        }
    },
    "/openapi/v3/api/v1": _document(
        "", "v1", "Service", "/api/v1/namespaces/{namespace}/services/{name}"
    ),
    "/openapi/v3/apis/batch/v1": _document(
        "batch", "v1", "Job", "/apis/batch/v1/namespaces/{namespace}/jobs/{name}"
    ),
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
}
