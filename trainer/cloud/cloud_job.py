"""A submitted job, as every platform reports it."""

from typing import NamedTuple

WAITING = "waiting"
RUNNING = "running"
PREEMPTED = "preempted"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"
ENDED = (SUCCEEDED, FAILED, CANCELLED)


class CloudJob(NamedTuple):
    """One job; what is not known is "".

    Attributes:
      name: full name on its platform, projects/.../ID.
      title: the run's name.
      state: one of this module's.
      created: time in RFC 3339.
      error: why it failed.
      page: URL in the platform's console.
      workdir: where the run is written.
      tensorboard: URL of the platform's TensorBoard.
      best: best trial so far of a tuning, with its values.
      command: of `radiograph`, that it runs; train for jobs without that label.
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
    command: str = "train"

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state in ENDED

    def matches(self, name: str) -> bool:
        """Returns whether `name` is the full name, the last part of it, or the run's name."""
        return name in (self.name, self.name.rsplit("/", 1)[-1], self.title)
