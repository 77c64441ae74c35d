"""Vertex AI: an order becomes a custom job or a tuning job.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml
from google.auth.credentials import Credentials

from trainer.cloud import cloud_job, machines
from trainer.cloud.api import AnswerLost, Api
from trainer.cloud.cloud_job import CloudJob
from trainer.cloud.hypertune import METRIC
from trainer.cloud.logs import Logs
from trainer.cloud.order import LABEL, Order
from trainer.system.errors import UsageError

SUFFIX = "vertex.yaml"
KINDS = ("customJobs", "hyperparameterTuningJobs")
STATES = {
    "JOB_STATE_QUEUED": cloud_job.WAITING,
    "JOB_STATE_PENDING": cloud_job.WAITING,
    "JOB_STATE_PAUSED": cloud_job.WAITING,
    "JOB_STATE_SUCCEEDED": cloud_job.SUCCEEDED,
    "JOB_STATE_PARTIALLY_SUCCEEDED": cloud_job.SUCCEEDED,
    "JOB_STATE_FAILED": cloud_job.FAILED,
    "JOB_STATE_EXPIRED": cloud_job.FAILED,
    "JOB_STATE_CANCELLED": cloud_job.CANCELLED,
}
STRATEGIES = {"on_demand": "STANDARD", "spot": "SPOT", "flex_start": "FLEX_START"}
CONSOLE = "https://console.cloud.google.com/agent-platform/locations"


def job_spec(order: Order) -> dict[str, Any]:
    """Returns the order as a CustomJobSpec, as for `gcloud ai custom-jobs create --config`.

    The task gets no --workdir: Vertex AI derives its variables AIP_... from baseOutputDirectory,
    each trial of a tuning its own.
    """
    scheduling: dict[str, Any] = {
        "strategy": STRATEGIES[order.capacity],
        "timeout": order.seconds(order.timeout_hours),
        "restartJobOnWorkerRestart": True,
    }
    if order.capacity == "flex_start":
        scheduling["maxWaitDuration"] = order.seconds(order.max_wait_hours)
    spec = {
        "workerPoolSpecs": [_pool(order, count) for count in (1, order.workers - 1) if count],
        "scheduling": scheduling,
        "baseOutputDirectory": {"outputUriPrefix": order.workdir},
    }
    if order.service_account:
        spec["serviceAccount"] = order.service_account
    if order.tensorboard:
        spec["tensorboard"] = order.tensorboard
    return spec


def _pool(order: Order, replicas: int) -> dict[str, Any]:
    """Returns a worker pool: the first is the chief alone, the second all others."""
    container: dict[str, Any] = {
        "imageUri": order.image,
        "args": [*order.command] or [f"--config={order.config_file}"],
    }
    if order.command:
        container["command"] = ["python", "-m", order.module]
    if variables := machines.environment(order.machine):
        container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    return {
        "machineSpec": _machine(order.machine),
        "replicaCount": str(replicas),
        "diskSpec": {"bootDiskSizeGb": order.boot_disk_gb},
        "containerSpec": container,
    }


def _machine(machine: machines.Machine) -> dict[str, Any]:
    spec: dict[str, Any] = {"machineType": machine.type}
    if machine.topology:
        spec["tpuTopology"] = machine.topology
    elif machine.accelerator:
        spec["acceleratorType"] = machines.vertex_enum(machine)
        spec["acceleratorCount"] = machine.count
    return spec


def file(order: Order) -> str:
    """Returns the order as the file that gcloud's --config takes."""
    content = job_spec(order)
    if order.study is not None:
        content = {"studySpec": order.study, "trialJobSpec": content}
    return yaml.safe_dump(content, sort_keys=False)


def command(order: Order, file: str) -> list[str]:
    """Returns the command of gcloud that submits `file`."""
    kind = "custom-jobs" if order.study is None else "hp-tuning-jobs"
    labels = ",".join(f"{key}={value}" for key, value in order.all_labels.items())
    parts = ["gcloud", "ai", kind, "create", f"--project={order.project}"]
    parts += [f"--region={order.region}", f"--display-name={order.name}", f"--labels={labels}"]
    if order.study is not None:
        parts.append(f"--max-trial-count={order.trials}")
        parts.append(f"--parallel-trial-count={order.parallel_trials}")
    return [*parts, f"--config={file}"]


def body(order: Order) -> dict[str, Any]:
    """Returns the order as a CustomJob, or as a HyperparameterTuningJob if it tunes."""
    named = {"displayName": order.name, "labels": order.all_labels}
    if order.study is None:
        return {**named, "jobSpec": job_spec(order)}
    return {
        **named,
        "maxTrialCount": order.trials,
        "parallelTrialCount": order.parallel_trials,
        "studySpec": order.study,
        "trialJobSpec": job_spec(order),
    }


class Vertex:
    """The jobs of a project in a region.

    Args:
      credentials: of the user.
      project: its id.
      region: such as us-central1.
      first_wait: seconds before the first retry.
    """

    def __init__(
        self, credentials: Credentials, project: str, region: str, *, first_wait: float = 1
    ):
        self.project, self.region = project, region
        address = f"https://{region}-aiplatform.googleapis.com"
        self._api = Api("aiplatform", address, credentials, first_wait=first_wait)
        self._logs = Logs(credentials, project, first_wait=first_wait)
        self._parent = f"v1/projects/{project}/locations/{region}"

    def submit(self, order: Order) -> CloudJob:
        """Creates the job, only once even where the first answer is lost."""
        kind = KINDS[order.study is not None]
        path, content = f"{self._parent}/{kind}", body(order)
        try:
            return self._job(self._api.post(path, content, repeatable=False))
        except AnswerLost:
            for created in self._listed(kind, f"labels.submission={order.submission}"):
                return self._job(created)
        return self._job(self._api.post(path, content, repeatable=False))

    def resume(self, order: Order, job: CloudJob) -> CloudJob:
        """Returns the job as it is: Vertex AI restarts preempted workers."""
        return self.show(job.name)

    def jobs(self) -> list[CloudJob]:
        """Returns the jobs that this program submitted, the newest first."""
        found = [each for kind in KINDS for each in self._listed(kind, f"labels.app={LABEL}")]
        return sorted(map(self._job, found), key=lambda job: job.created, reverse=True)

    def show(self, name: str) -> CloudJob:
        """Returns a job by its resource name, or by its number."""
        return self._job(self._api.get(f"v1/{self._resource(name)}"))

    def cancel(self, name: str) -> None:
        """Stops the job, which saves and ends within seconds."""
        self._api.post(f"v1/{self._resource(name)}:cancel", {})

    def _resource(self, name: str) -> str:
        """Returns the resource name of a job given by that, by its number, or by the run's name."""
        if "/" in name:
            return name
        for job in self.jobs():
            if job.matches(name):
                return job.name
        raise UsageError(
            f"{self.project} has no job {name!r} of this program in {self.region}: python -m "
            "radiograph jobs list shows them."
        )

    def log(self, name: str, after: str) -> list[tuple[str, str]]:
        """Returns (time, line) of what the job's workers printed after `after`, in order."""
        job_id = name.rsplit("/", 1)[-1]
        query = f'resource.type="ml_job" AND resource.labels.job_id="{job_id}"'
        return self._logs.lines(query, after)

    def _listed(self, kind: str, query: str) -> Iterator[Mapping]:
        return self._api.list_all(f"{self._parent}/{kind}", kind, filter=query)

    def _job(self, answer: Mapping) -> CloudJob:
        name = answer["name"]
        number = name.rsplit("/", 1)[-1]
        spec = answer.get("jobSpec") or answer.get("trialJobSpec") or {}
        board = spec.get("tensorboard", "")
        return CloudJob(
            name=name,
            title=answer.get("displayName", ""),
            state=STATES.get(answer.get("state", ""), cloud_job.RUNNING),
            created=answer.get("createTime", ""),
            error=" ".join(answer.get("error", {}).get("message", "").split()),
            page=f"{CONSOLE}/{self.region}/training/{number}?project={self.project}",
            workdir=spec.get("baseOutputDirectory", {}).get("outputUriPrefix", "").rstrip("/"),
            tensorboard=_board_page(board, number) if board else "",
            best=_best(answer.get("trials", [])),
            command=answer.get("labels", {}).get("command", "train"),
        )


def _board_page(board: str, number: str) -> str:
    """Returns the URL of a job in a managed TensorBoard, as Google's own client forms it."""
    region = board.split("/")[3]
    experiment = f"{board}/experiments/{number}".replace("/", "+")
    return f"https://{region}.tensorboard.googleusercontent.com/experiment/{experiment}"


def _best(trials: Sequence[Mapping]) -> str:
    """Returns the trial with the highest measurement so far, in words; "" without any."""
    measured = [
        (float(metric["value"]), trial)
        for trial in trials
        for metric in trial.get("finalMeasurement", {}).get("metrics", [])
        if metric.get("metricId") == METRIC
    ]
    if not measured:
        return ""
    value, trial = max(measured, key=lambda pair: pair[0])
    values = (f"--{each['parameterId']}={each['value']}" for each in trial.get("parameters", []))
    return f"trial {trial['id']}, {METRIC} {value:.4f}: {' '.join(values)}"
