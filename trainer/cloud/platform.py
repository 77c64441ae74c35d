"""The platforms that run an order, and what each of them can do."""

from types import ModuleType
from typing import NamedTuple, Protocol

from google.auth.credentials import Credentials
from google.cloud.storage import Client

from trainer.cloud import kubernetes, tpu_vm, vertex
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.order import Order

# Each has SUFFIX, file(order) and command(order, file), for the platform's own command line.
MODULES: dict[str, ModuleType] = {"vertex": vertex, "tpu_vm": tpu_vm, "kubernetes": kubernetes}


class Access(NamedTuple):
    """The user's credentials, and a client of their buckets."""

    credentials: Credentials
    storage: Client


class Platform(Protocol):
    """Where jobs run: Vertex AI, TPU VMs, a Kubernetes cluster.

    A job's `name` is its full name, the last part of it, or the run's name.
    """

    def submit(self, order: Order) -> CloudJob:
        """Creates the job, only once even where an answer is lost."""

    def resume(self, order: Order, job: CloudJob) -> CloudJob:
        """Restarts a job whose machine was preempted, unless the platform does so itself."""

    def jobs(self) -> list[CloudJob]:
        """Returns the jobs that this program has submitted, the newest first."""

    def show(self, name: str) -> CloudJob:
        """Returns a job."""

    def cancel(self, name: str) -> None:
        """Stops a job, which saves first."""

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job printed after the time `after`, in order."""


def open_platform(
    name: str, access: Access | None, *, project: str = "", region: str = "", zone: str = ""
) -> Platform:
    """Returns the platform of that name; Vertex AI in a region, TPU VMs in a zone of the project.

    Only Kubernetes, which kubectl reaches, needs no access.
    """
    if name == "kubernetes":
        return kubernetes.Kubernetes()
    assert access is not None, f"{name} needs access"
    if name == "tpu_vm":
        return tpu_vm.TpuVm(access.credentials, project, zone, client=access.storage)
    return vertex.Vertex(access.credentials, project, region)
