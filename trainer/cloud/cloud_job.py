"""A job as every platform tells of it."""

from typing import NamedTuple

WAITING = "waiting"
RUNNING = "running"
PREEMPTED = "preempted"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
ENDED = (SUCCEEDED, FAILED, CANCELLED)


class Job(NamedTuple):
    """One job.

    Attributes:
      name: by which its platform finds it, projects/.../ID.
      title: the run's name.
      state: one of this module's.
      created: when, as RFC 3339 has it.
      error: why it failed, or "".
      page: where the platform's console shows it.
      workdir: where the run is written, or "" where that is not known.
      tensorboard: where the platform shows its TensorBoard, or "".
      best: of a tuning, the best trial so far with its values, or "".
    """

    name: str
    title: str
    state: str
    created: str = ""
    error: str = ""
    page: str = ""
    workdir: str = ""
    tensorboard: str = ""
    best: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def is_called(self, name: str) -> bool:
        """Whether `name` means this job: its full name, the last part of it, or the run's name."""
        return name in (self.name, self.name.rsplit("/", 1)[-1], self.title)
