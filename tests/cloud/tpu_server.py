"""A server on this machine that answers as the TPU API and a VM's metadata do.

What is created is checked against the TPU API's own document; an unknown field is a 400 as there.
"""

import re
from typing import Any

from tests.cloud import discovery
from tests.cloud.service import Asked, Service, error

TOKEN = "ya29.token-of-the-vm"
METADATA_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"
PARENT = re.compile(r"/v2/(projects/[^/]+/locations/[^/]+/queuedResources)")
RESOURCE = re.compile(r"/v2/(projects/[^/]+/locations/[^/]+/queuedResources/[^/]+)")


class Tpu(Service):
    """The service.

    Attributes:
      resources: those queued, by their names.
      deletions: looks at a resource for which it is still there after it was deleted.
    """

    name = "tpu"

    def __init__(self):
        super().__init__()
        self.resources: dict[str, dict] = {}
        self.deletions = 0

    def posted(self) -> list[Any]:
        """Returns what was sent to be created."""
        made = [a for a in self.asked if a.method == "POST" and "queuedResourceId" in a.path]
        return [asked.body for asked in made]

    def deleted(self) -> list[Asked]:
        return [a for a in self.asked if a.method == "DELETE"]

    def becomes(self, name: str, state: str, **more: Any) -> None:
        """Sets the state of a resource."""
        self.resources[name]["state"] = {"state": state, **more}

    def create(self, parent: str, identity: str, body: Any) -> tuple[int, dict]:
        name = f"{parent}/{identity}"
        if name in self.resources:
            return 409, error(409, f"{name} already exists")
        if wrong := discovery.errors(body, "tpu", "v2", "QueuedResource"):
            return 400, error(400, "; ".join(wrong))
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
        return (200, found) if found else (404, error(404, f"{name} is not there"))

    def delete(self, name: str) -> tuple[int, dict]:
        if name not in self.resources:
            return 404, error(404, f"{name} is not there")
        self.becomes(name, "DELETING")
        return 200, {"name": "projects/project/locations/us-central1-a/operations/2"}

    def fails(self, path: str) -> bool:
        return path != METADATA_TOKEN

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> tuple[int, dict]:
        if path == METADATA_TOKEN:
            if asked.headers.get("Metadata-Flavor") != "Google":
                return 403, {}
            return 200, {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        if parent := PARENT.fullmatch(path):
            if asked.method == "POST":
                return self.create(parent[1], query["queuedResourceId"], asked.body)
            return 200, _page(list(self.resources.values()), query)
        if resource := RESOURCE.fullmatch(path):
            return (self.delete if asked.method == "DELETE" else self.look)(resource[1])
        return 404, error(404, f"there is no {path}")


def _page(found: list[dict], query: dict[str, str]) -> dict:
    """Returns one resource a page, so that what asks must go on."""
    first = int(query.get("pageToken", 0))
    page: dict[str, Any] = {"queuedResources": found[first : first + 1]}
    if first + 1 < len(found):
        page["nextPageToken"] = str(first + 1)
    return page
