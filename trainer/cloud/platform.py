"""The platforms that run an order: what each of them can do."""

from typing import Protocol

from trainer.cloud.job import Job
from trainer.cloud.order import Order


class Platform(Protocol):
    """Where jobs run: Vertex AI, TPU VMs, a Kubernetes cluster.

    A job is named by its full name, the last part of that, or the run's name.
    """

    def submit(self, order: Order) -> Job:
        """Begins the job, once even where an answer is lost."""

    def resume(self, order: Order, job: Job) -> Job:
        """Begins a job again whose machine was taken back, where the platform does not itself."""

    def list(self) -> list[Job]:
        """Returns the jobs that this program has submitted, the newest first."""

    def show(self, name: str) -> Job:
        """Returns a job."""

    def cancel(self, name: str) -> None:
        """Ends a job, which saves first."""

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job printed after the time `after`, in order."""
