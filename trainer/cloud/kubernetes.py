"""Kubernetes: an order becomes a job of a cluster, through the user's own kubectl."""

import json
import subprocess
from collections.abc import Mapping

from trainer.cloud import cloud_job, machines, templates
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.order import LABEL, Order
from trainer.system.errors import KILLED, RESUMABLE, Unavailable, UsageError

SUFFIX = "kubernetes.yaml"
KUBECTL_SECONDS = 120
PORT = 2222  # of each worker
WORKDIR = f"{LABEL}/workdir"  # annotation of a job
# As GKE labels its TPU nodes.
TPUS = {"tpu-v5e": "tpu-v5-lite-podslice", "tpu-v6e": "tpu-v6e-slice"}


def file(order: Order) -> str:
    """Returns the order as the file that kubectl apply takes.

    Raises:
      UsageError: if the service account is not one of the cluster.
    """
    if "@" in order.service_account:
        raise UsageError(
            f"--service_account={order.service_account} is Google's: on Kubernetes give the "
            "cluster's own, such as trainer, which Workload Identity lets be Google's."
        )
    return templates.render(
        "kubernetes.yaml.j2",
        app=LABEL,
        order=order,
        machine=order.machine,
        tpu=TPUS.get(order.machine.accelerator),
        spot=order.capacity == "spot",
        port=PORT,
        limit_seconds=round(order.timeout_hours * 3600),
        restarted_codes=sorted(RESUMABLE + KILLED),
        variables=machines.environment(order.machine),
    )


def command(order: Order, file: str) -> list[str]:
    """Returns the command of kubectl that submits `file`."""
    del order
    return ["kubectl", "apply", f"--filename={file}"]


class Kubernetes:
    """The jobs in the cluster and the namespace of kubectl's current context."""

    def submit(self, order: Order) -> CloudJob:
        """Applies the job; a second call changes nothing."""
        _kubectl("apply", "--filename=-", stdin=file(order))
        return self.show(order.identity)

    def resume(self, order: Order, job: CloudJob) -> CloudJob:
        """Returns the job as it is: the cluster restarts its pods."""
        return self.show(job.name)

    def jobs(self) -> list[CloudJob]:
        """Returns the jobs that this program submitted, the newest first."""
        listed = _kubectl("get", "jobs", f"--selector=app={LABEL}", "--output=json")
        jobs = map(_as_job, json.loads(listed)["items"])
        return sorted(jobs, key=lambda job: job.created, reverse=True)

    def show(self, name: str) -> CloudJob:
        """Returns a job by its name, or by the run's.

        Raises:
          UsageError: if there is none.
        """
        for job in self.jobs():
            if job.matches(name):
                return job
        raise UsageError(
            f"the cluster has no job {name!r} of this program: radiograph jobs list "
            "--platform=kubernetes shows them."
        )

    def cancel(self, name: str) -> None:
        """Deletes the job; its pods save, and end within seconds."""
        _kubectl("delete", "job", self.show(name).name, "--wait=false")

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job's pods printed after `after`, in order."""
        selector = f"--selector=batch.kubernetes.io/job-name={self.show(name).name}"
        since = [f"--since-time={after}"] if after else []
        options = ["--tail=-1", "--timestamps", "--ignore-errors", "--max-log-requests=1000"]
        text = _kubectl("logs", selector, *options, *since)
        lines = [line.partition(" ")[::2] for line in text.splitlines()]
        # The server takes whole seconds, and repeats lines of that time.
        return sorted((line for line in lines if line[0] > after), key=lambda line: line[0])


def _as_job(answer: Mapping) -> CloudJob:
    metadata, status = answer["metadata"], answer.get("status", {})
    conditions = {
        each["type"]: each for each in status.get("conditions", []) if each["status"] == "True"
    }
    error = ""
    if "Complete" in conditions or "SuccessCriteriaMet" in conditions:
        state = cloud_job.SUCCEEDED
    elif failed := conditions.get("Failed") or conditions.get("FailureTarget"):
        state = cloud_job.FAILED
        error = ": ".join(filter(None, [failed.get("reason"), failed.get("message")]))
    elif "deletionTimestamp" in metadata:
        state = cloud_job.CANCELLED
    else:
        state = cloud_job.RUNNING if status.get("ready") else cloud_job.WAITING
    return CloudJob(
        name=metadata["name"],
        title=metadata["labels"].get("run", ""),
        state=state,
        created=metadata.get("creationTimestamp", ""),
        error=error,
        workdir=metadata.get("annotations", {}).get(WORKDIR, ""),
        command=metadata["labels"].get("command", "train"),
    )


def _kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Runs kubectl and returns what it prints.

    Raises:
      UsageError: if it is not installed, or fails.
      Unavailable: if it does not end in time.
    """
    try:
        done = subprocess.run(
            ["kubectl", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
        )
    except FileNotFoundError:
        raise UsageError(
            "kubectl is not on this machine's PATH: install it, and let it reach the cluster, "
            "with gcloud container clusters get-credentials CLUSTER or the like."
        ) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"kubectl {arguments[0]} has not ended after {KUBECTL_SECONDS} s: see with kubectl "
            "cluster-info whether the cluster can be reached."
        ) from None
    if done.returncode:
        message = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise UsageError(
            f"kubectl {arguments[0]} failed: {message.rstrip('.')[:600]}. kubectl config "
            "current-context shows the cluster."
        )
    return done.stdout
