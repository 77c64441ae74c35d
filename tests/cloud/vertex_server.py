"""A server on this machine that answers as Vertex AI does, to Google's own types.

A job is read into the protobuf type of Google's client, so that an unknown field or a wrong value
is a 400 as there; states go on with every look at a job.
"""

import re
from typing import Any

from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob
from google.protobuf import json_format

from tests.cloud.service import Asked, Service, error

TYPES = {"customJobs": CustomJob, "hyperparameterTuningJobs": HyperparameterTuningJob}
JOBS = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+)/(\w+)")
JOB = re.compile(r"/v1/(projects/[^/]+/locations/[^/]+/\w+/\d+)(:cancel)?")
STATES = ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]


class Vertex(Service):
    """The service.

    Attributes:
      jobs: by their names.
      states: of the jobs that are created from now on.
      error: why those fail that fail.
    """

    name = "aiplatform"

    def __init__(self):
        super().__init__()
        self.jobs: dict[str, dict] = {}
        self.states, self.error = list(STATES), ""
        self._coming: dict[str, list[str]] = {}

    def posted(self) -> list[Any]:
        """Returns what was sent to be created."""
        made = [a for a in self.asked if a.method == "POST" and ":" not in a.path]
        return [asked.body for asked in made]

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> tuple[int, dict]:
        if jobs := JOBS.fullmatch(path):
            parent, kind = jobs.groups()
            if asked.method == "GET":
                return 200, {kind: self.matching(kind, query["filter"])}
            try:
                return 200, self.create(parent, kind, asked.body)
            except json_format.ParseError as mistake:
                return 400, error(400, str(mistake))
        name, cancelled = JOB.fullmatch(path).groups()
        if name not in self.jobs:
            return 404, error(404, f"not found: {name}")
        if cancelled:
            self._coming[name] = ["JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED"]
            return 200, {}
        return 200, self.look(name)

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

    def matching(self, kind: str, wanted: str) -> list[dict]:
        label, value = re.fullmatch(r"labels\.(\w+)=(.*)", wanted).groups()
        jobs = [job for name, job in self.jobs.items() if f"/{kind}/" in name]
        return [job for job in jobs if job.get("labels", {}).get(label) == value]
