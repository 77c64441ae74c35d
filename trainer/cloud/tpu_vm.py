"""TPU VMs: an order becomes a queued resource of the TPU API.

The VM's start-up script runs the container, writes OUTCOME to the work directory when the job has
ended, and deletes the queued resource: after that only the work directory shows how it ended.
https://cloud.google.com/tpu/docs/reference/rest/v2/projects.locations.queuedResources
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from google.auth.credentials import Credentials
from google.cloud.storage import Client

from trainer.cloud import (
    bucket_address,
    cloud_job,
    container_image,
    google_storage,
    machines,
    templates,
)
from trainer.cloud.api import AnswerLost, Api, ResourceNotFound
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.logs import Logs
from trainer.cloud.order import LABEL, Order, resource_name
from trainer.system.errors import FINAL, Unavailable, UsageError

SUFFIX = "tpu_vm.sh"
OUTCOME = "outcome.json"
GRACE_SECONDS = 60
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
STATES = {
    "ACTIVE": cloud_job.RUNNING,
    "SUSPENDING": cloud_job.RUNNING,
    "SUSPENDED": cloud_job.PREEMPTED,
    "FAILED": cloud_job.FAILED,
    "DELETING": cloud_job.CANCELLED,
}
DELETION_CHECKS = 60
DELETION_WAIT = 5  # between two of them, in first waits


def file(order: Order) -> str:
    """Returns the VM's start-up script, which gcloud's --metadata-from-file takes."""
    bucket, folder = bucket_address.split(order.workdir)
    image = container_image.parse(order.image)
    return templates.render(
        "tpu_vm.sh.j2",
        order=order,
        submission=json.dumps(order.submission),
        registry=image.registry if image.is_google else "",
        limit_seconds=round(order.timeout_hours * 3600),
        grace_seconds=GRACE_SECONDS,
        outcome_path=f"upload/storage/v1/b/{bucket}/o?uploadType=media"
        f"&name={quote(f'{folder}/{OUTCOME}', safe='')}",
        resource_path=f"v2/{_parent(order.project, order.zone)}/{order.identity}",
        final=FINAL,
        variables=machines.environment(order.machine),
    )


def command(order: Order, file: str) -> list[str]:
    """Returns the command of gcloud that submits `file`."""
    labels = ",".join(f"{key}={value}" for key, value in order.all_labels.items())
    parts = ["gcloud", "compute", "tpus", "queued-resources", "create", order.identity]
    parts += [f"--project={order.project}", f"--zone={order.zone}", f"--node-id={order.identity}"]
    parts.append(f"--accelerator-type={machines.tpu_vm_type(order.machine)}")
    parts.append(f"--runtime-version={machines.tpu_vm_runtime(order.machine)}")
    parts += [f"--labels={labels}", f"--description={order.workdir}"]
    if order.capacity == "spot":
        parts.append("--spot")
    if order.service_account:
        parts += [f"--service-account={order.service_account}", f"--scopes={SCOPE}"]
    parts.append(f"--metadata-from-file=startup-script={file}")
    return [*parts, f"--metadata=shutdown-script={_shutdown_script(order)}", "--async"]


def body(order: Order) -> dict[str, Any]:
    """Returns the order as a QueuedResource."""
    node: dict[str, Any] = {
        "acceleratorType": machines.tpu_vm_type(order.machine),
        "runtimeVersion": machines.tpu_vm_runtime(order.machine),
        "networkConfig": {"network": "default", "enableExternalIps": True},
        "description": order.workdir,
        "labels": order.all_labels,
        "metadata": {"startup-script": file(order), "shutdown-script": _shutdown_script(order)},
    }
    if order.service_account:
        node["serviceAccount"] = {"email": order.service_account, "scope": [SCOPE]}
    parent = f"projects/{order.project}/locations/{order.zone}"
    spec = {"parent": parent, "nodeId": order.identity, "node": node}
    return {"tpu": {"nodeSpec": [spec]}, **({"spot": {}} if order.capacity == "spot" else {})}


def _shutdown_script(order: Order) -> str:
    return f"docker stop -t {GRACE_SECONDS} {order.identity}"


def _parent(project: str, zone: str) -> str:
    return f"projects/{project}/locations/{zone}/queuedResources"


class TpuVm:
    """The TPU VMs of a project in a zone.

    Args:
      credentials: of the user.
      project: its id.
      zone: such as us-central1-a.
      client: of the buckets of the runs.
      first_wait: seconds before the first retry.
    """

    def __init__(
        self,
        credentials: Credentials,
        project: str,
        zone: str,
        *,
        client: Client,
        first_wait: float = 1,
    ):
        self.project, self.zone = project, zone
        self._client, self._first_wait = client, first_wait
        self._api = Api("tpu", "https://tpu.googleapis.com", credentials, first_wait=first_wait)
        self._logs = Logs(credentials, project, first_wait=first_wait)
        self._parent = _parent(project, zone)
        self._workdirs: dict[str, str] = {}  # of known jobs, by their names

    def submit(self, order: Order) -> CloudJob:
        """Queues the VM, only once even where the first answer is lost."""
        name = f"{self._parent}/{order.identity}"
        self._workdirs[name] = order.workdir
        try:
            self._create(order)
        except AnswerLost:
            if self._get(name) is None:
                self._create(order)
        return self._as_job(name, state=cloud_job.WAITING, title=order.name)

    def _create(self, order: Order) -> None:
        identity = {"queuedResourceId": order.identity}
        self._api.post(f"v2/{self._parent}", body(order), repeatable=False, **identity)

    def resume(self, order: Order, job: CloudJob) -> CloudJob:
        """Queues another VM after preemption; the run continues from its checkpoints.

        Raises:
          Unavailable: if the former one is not deleted in time.
        """
        self._api.delete(f"v2/{job.name}", force="true")
        for _ in range(DELETION_CHECKS):
            if self._get(job.name) is None:
                return self.submit(order)
            time.sleep(DELETION_WAIT * self._first_wait)
        raise Unavailable(
            f"{job.name} was preempted and is still being deleted: submit the run again later."
        )

    def jobs(self) -> list[CloudJob]:
        """Returns the jobs of this program that have a queued resource, the newest first."""
        jobs = map(self._job, self._resources())
        return sorted(jobs, key=lambda job: job.created, reverse=True)

    def show(self, name: str) -> CloudJob:
        """Returns a job by its name, or by its work directory, also after its end.

        Raises:
          UsageError: if there is none.
        """
        if name.startswith("gs://"):
            return self._find_by_workdir(name.rstrip("/"))
        name = self._full_name(name)
        resource = self._get(name)
        queued = self._job(resource) if resource else None
        if queued and queued.state in (cloud_job.WAITING, cloud_job.FAILED):
            return queued
        workdir = self._workdirs.get(name, "")
        ended = self._ended(workdir, name) if workdir else None
        if known := ended or queued:
            return known
        if workdir:
            return self._as_job(name, state=cloud_job.CANCELLED)
        raise UsageError(
            f"there is no {name}: a TPU VM is deleted when its job ends; give the run's work "
            "directory, gs://..., which shows how it ended."
        )

    def cancel(self, name: str) -> None:
        """Deletes the VM; the job has some seconds to save."""
        self._api.delete(f"v2/{self._full_name(name)}", force="true")

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job printed after `after`, in order."""
        query = (
            f'logName="projects/{self.project}/logs/gcplogs-docker-driver" AND '
            f'jsonPayload.container.name="/{name.rsplit("/", 1)[-1]}"'
        )
        return self._logs.lines(query, after)

    def _full_name(self, name: str) -> str:
        """Returns the full name of a job given by that, by its last part, or by the run's name."""
        if "/" in name:
            return name
        for job in self.jobs():
            if job.matches(name):
                return job.name
        return f"{self._parent}/{name}"

    def _resources(self) -> Iterator[Mapping]:
        for resource in self._api.list_all(f"v2/{self._parent}", "queuedResources"):
            if _node(resource).get("labels", {}).get("app") == LABEL:
                yield resource

    def _get(self, name: str) -> Mapping | None:
        try:
            return self._api.get(f"v2/{name}")
        except ResourceNotFound:
            return None

    def _job(self, resource: Mapping) -> CloudJob:
        name, node, state = resource["name"], _node(resource), resource.get("state", {})
        labels = node.get("labels", {})
        if node.get("description", "").startswith("gs://"):
            self._workdirs[name] = node["description"]
        job_state = STATES.get(state.get("state", ""), cloud_job.WAITING)
        if job_state == cloud_job.PREEMPTED and state.get("stateInitiator") == "USER":
            job_state = cloud_job.CANCELLED
        error = state.get("failedData", {}).get("error", {}).get("message", "")
        return self._as_job(
            name,
            state=job_state,
            title=labels.get("run", ""),
            command=labels.get("command", "train"),
            created=resource.get("createTime", ""),
            error=" ".join(error.split()),
        )

    def _find_by_workdir(self, workdir: str) -> CloudJob:
        for job in self.jobs():
            if job.workdir == workdir:
                return self.show(job.name)
        if ended := self._ended(workdir):
            return ended
        raise UsageError(
            f"no TPU VM in {self.zone} has a job of {workdir}, and none has ended there."
        )

    def _ended(self, workdir: str, name: str = "") -> CloudJob | None:
        """Returns the job that ended in a work directory, if it has that name or none is given."""
        outcome = google_storage.read_json(self._client, f"{workdir}/{OUTCOME}")
        if outcome is None:
            return None
        run = resource_name(workdir.rsplit("/", 1)[-1])
        ended = f"{self._parent}/{run}-{outcome['submission']}"
        if name not in ("", ended):
            return None  # of an earlier submission
        self._workdirs[ended] = workdir
        code, error = outcome["exit_code"], outcome["error"]
        if code:
            error = f"exit code {code}" + (f": {error}" if error else "")
        state = cloud_job.FAILED if code else cloud_job.SUCCEEDED
        command = outcome.get("command", "train")
        return self._as_job(ended, state=state, error=error, command=command)

    def _as_job(self, name: str, *, title: str = "", **known: str) -> CloudJob:
        return CloudJob(
            name=name,
            title=title or name.rsplit("/", 1)[-1].rsplit("-", 1)[0],
            **known,
            page=f"https://console.cloud.google.com/compute/tpus?project={self.project}",
            workdir=self._workdirs.get(name, ""),
        )


def _node(resource: Mapping) -> Mapping:
    specs = resource.get("tpu", {}).get("nodeSpec", [])
    return specs[0].get("node", {}) if specs else {}
