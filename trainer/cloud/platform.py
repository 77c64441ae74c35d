"""The platforms that run an order: what each of them can do, and which one is meant."""

from types import ModuleType
from typing import NamedTuple, Protocol

from google.auth.credentials import Credentials
from google.cloud.storage import Client

from trainer.cloud import kubernetes, tpu_vm, vertex
from trainer.cloud.cloud_job import Job
from trainer.cloud.order import Order

# Each has SUFFIX, file(order) and command(order, file): what its own command line takes.
MODULES: dict[str, ModuleType] = {"vertex": vertex, "tpu_vm": tpu_vm, "kubernetes": kubernetes}


class Access(NamedTuple):
    """As whom the cloud is asked."""

    credentials: Credentials
    storage: Client


class Platform(Protocol):
    """Where jobs run: Vertex AI, TPU VMs, a Kubernetes cluster.

    A job is named by its full name, the last part of that, or the run's name.
    """

    def submit(self, order: Order) -> Job:
        """Begins the job, once even where an answer is lost."""

    def resume(self, order: Order, job: Job) -> Job:
        """Begins a job again whose machine was taken back, where the platform does not itself."""

    def jobs(self) -> list[Job]:
        """Returns the jobs that this program has submitted, the newest first."""

    def show(self, name: str) -> Job:
        """Returns a job."""

    def cancel(self, name: str) -> None:
        """Ends a job, which saves first."""

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job printed after the time `after`, in order."""


def reached(name: str, access: Access, project: str, region: str, zone: str) -> Platform:
    """Returns the platform of that name, at a place of the cloud where it has places."""
    if name == "kubernetes":
        return kubernetes.Kubernetes()
    if name == "tpu_vm":
        return tpu_vm.TpuVm(access.credentials, project, zone, access.storage)
    return vertex.Vertex(access.credentials, project, region)
