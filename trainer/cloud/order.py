"""What a user orders of a cloud: a run or a use of one, its machines, and their terms."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ml_collections import ConfigDict

from trainer.cloud.machines import Machine
from trainer.system.errors import UsageError

PLATFORMS = ("vertex", "tpu_vm", "kubernetes")
CONFIG = "submitted.json"  # beside the run's own config.json, which marks it as begun
LABEL = "radiograph-trainer"  # of every job, so that they can be listed


@dataclass(frozen=True)
class Order:
    """A run, or another command, as it is sent to a cloud.

    Attributes:
      config: complete; its data.path is in a bucket. Not used where there is a command.
      workdir: where the run, or what the command makes, is written, gs://BUCKET/FOLDER without a
        slash at the end.
      image: name of the container image with its tag or digest.
      machine: of each worker.
      platform: one of PLATFORMS.
      project: that is billed.
      region: where it runs, as in us-central1.
      zone: where it runs on a TPU VM, as in us-central1-a.
      workers: machines that train together.
      capacity: on_demand, spot or flex_start.
      service_account: account of the job; "" for the platform's default.
      tensorboard: resource name of a managed TensorBoard that shows the run; "" for none.
      labels: the user's own, such as for billing.
      boot_disk_gb: size of each machine's disk.
      timeout_hours: after which the job is ended.
      max_wait_hours: for which flex_start may wait for machines.
      study: what is tuned, as `vertex_tuning.study` returns it; none for a single run.
      trials: of a tuning.
      parallel_trials: at most, at the same time.
      submission: random, unlike that of other submissions of the run.
      command: arguments of `radiograph` that are run in place of a training, its name first.
      inputs: what that command reads in buckets, gs://.
    """

    config: ConfigDict
    workdir: str
    image: str
    machine: Machine
    platform: str
    project: str
    region: str
    zone: str = ""
    workers: int = 1
    capacity: str = "on_demand"
    service_account: str = ""
    tensorboard: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    boot_disk_gb: int = 100
    timeout_hours: float = 24.0
    max_wait_hours: float = 24.0
    study: Mapping | None = None
    trials: int = 0
    parallel_trials: int = 1
    submission: str = ""
    command: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The run's name as every platform accepts it: at most 40 of a-z, 0-9 and hyphens."""
        return resource_name(self.workdir.rsplit("/", 1)[-1])

    @property
    def identity(self) -> str:
        """The name of this submission, unlike that of others of the same run."""
        return f"{self.name}-{self.submission}"

    @property
    def config_file(self) -> str:
        """Where the job reads its config."""
        return f"{self.workdir}/{CONFIG}"

    @property
    def config_text(self) -> str:
        """The content of that file."""
        return json.dumps(self.config.to_dict(), indent=2) + "\n"

    @property
    def module(self) -> str:
        """The module that python runs."""
        return "trainer" if self.command else "trainer.task"

    @property
    def replicas(self) -> int:
        """Replicas that share the global batch."""
        return self.workers * self.machine.replicas

    @property
    def all_labels(self) -> dict[str, str]:
        """The user's labels, and those that say what runs, of which run and submission."""
        does = self.command[0] if self.command else "train"
        own = {"app": LABEL, "run": self.name, "submission": self.submission, "command": does}
        return {**self.labels, **own}

    def seconds(self, hours: float) -> str:
        """Returns a duration in the format of Google's APIs."""
        return f"{round(hours * 3600)}s"


def resource_name(text: str) -> str:
    """Returns `text` as a valid name of a cloud resource: a-z first, then a-z, 0-9 and hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (name if name[:1].isalpha() else f"run-{name}")[:40].strip("-")


def read_labels(given: list[str]) -> dict[str, str]:
    """Returns labels given as KEY=VALUE.

    Raises:
      UsageError: if it is not a valid label of Google Cloud.
    """
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            raise UsageError(
                f"--label={text} is not a label: give KEY=VALUE, the key of a-z, 0-9, _ and -, "
                "beginning with a letter."
            )
        if not re.fullmatch(r"[a-z0-9_-]{0,63}", value):
            raise UsageError(
                f"--label={text}: the value may have at most 63 characters of a-z, 0-9, _ and -."
            )
        labels[key] = value
    return labels
