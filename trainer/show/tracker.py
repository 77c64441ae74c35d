"""What keeps runs for a team, such as MLflow: an interface of four calls.

A tracker of one's own is a class with these, given to a run in a `TrackerLog`; docs/loggers.md has
an example.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from etils import epath


class Point(NamedTuple):
    """What the curves of a run are at one step.

    Attributes:
      step: of the run.
      seconds: when it was, since 1970.
      values: by name, such as `validation/metrics/auc`; all are numbers.
    """

    step: int
    seconds: float
    values: Mapping[str, float]


class Description(NamedTuple):
    """What a run is.

    Attributes:
      name: of the run, such as `runs/first`.
      workdir: where it is written.
      settings: each field of the config by its dotted name.
      tags: what else describes it: git commit, data set, where its checkpoints lie.
      first: the number of the first point that comes; 0 is that of a new run.
      continues: whether all points before that one came to this tracker.
    """

    name: str
    workdir: epath.Path
    settings: Mapping[str, object]
    tags: Mapping[str, str]
    first: int
    continues: bool


class Tracker:
    """Keeps a run somewhere else; each call is made in a thread of its own, and may wait or fail.

    After a failure the call is made again with the next points, `begin` first if it failed. A run
    that was killed and goes on calls `begin` anew, and may log points a second time: these have the
    same number, step and values.
    """

    name = "tracker"

    def begin(self, run: Description) -> str:
        """Opens the run, or the same one again; returns where it is to be seen."""
        raise NotImplementedError

    def log(self, first: int, points: Sequence[Point]) -> None:
        """Adds points, the first of which is the run's point number `first`."""
        raise NotImplementedError

    def files(self, folder: Path, names: Sequence[str]) -> None:
        """Keeps files of a finished run, named as below `folder`."""

    def end(self, error: BaseException | None) -> None:
        """Closes the run, for now where an error stopped it."""
