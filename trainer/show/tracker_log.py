"""A tracker as a logger: it gets the run's curves, and never holds the run up."""

import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etils import epath

from trainer.config import schema
from trainer.metrics import classification
from trainer.metrics.scores import Scores
from trainer.show import curves
from trainer.show.delivery import Delivery
from trainer.show.logger import Evaluation, Logger
from trainer.show.tensorboard import trial_name
from trainer.show.tracker import Description, Point, Tracker
from trainer.system import environment, gcs, json_files
from trainer.system.terminal import LiveLine
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.run import Run
from trainer.training.step import LoopResult

# What is kept of a finished run; the predictions, which name each image, are not.
FILES = (
    *("report.html", "model_card.md", "metadata.json", "config.json", "metrics.csv"),
    *("evaluation/validation.json", "evaluation/test.json"),
)
PICTURES = ("pictures/*/*.png", "pictures/*/*/*.png")
END_SECONDS = 60.0
STOP_SECONDS = 5.0  # a machine that is taken back has little time


class TrackerLog(Logger):
    """Follows a run with a tracker.

    A step that was sent cannot be taken back. So the points wait until the checkpoint after them is
    written: a run that is killed goes on from there, and their steps come no second time. What a
    tracker has not taken by then is in the checkpoint, too, and sent when the run goes on.

    Args:
      tracker: keeps the run.
      line: of the terminal, where it is said where the run is to be seen, and what failed.
      end_seconds: how long the end of the run waits for the tracker.
    """

    def __init__(self, tracker: Tracker, line: LiveLine, end_seconds: float = END_SECONDS):
        self._tracker, self._line, self._end_seconds = tracker, line, end_seconds
        self._delivery: Delivery | None = None
        self._ends = deque[tuple[int, int]]()  # step of a checkpoint, number of the point after it
        self._finished = False

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Starts the tracker with what it has not taken before."""
        self._run, self._step = run, progress.step
        state = saved.get(self._tracker.name, {"first": 0, "points": []})
        points = [Point(*point) for point in state["points"]]
        continues = self._tracker.name in saved or progress.step == 0
        if not continues:
            rows = sorted([*progress.evaluations, *progress.history], key=lambda row: row["step"])
            points = [point for row in rows for point in _metrics_points(row)]
        self._delivery = Delivery(
            self._tracker, description(run, first=state["first"], continues=continues)
        )
        self._delivery.release(self._delivery.add(points))
        self._delivery.start()

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Adds loss, norms and speed."""
        self._step = progress.step
        self._add(progress.step, "train", curves.of_loop(self._run, result, timer))

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Adds the epoch's metrics."""
        assert self._delivery
        self._delivery.add(_metrics_points(progress.history[-1]))
        self._add(progress.step, "train", curves.of_speed(self._run))

    def evaluation(self, progress: Progress) -> None:
        """Adds the metrics of an evaluation that is not at the end of an epoch."""
        assert self._delivery
        self._delivery.add(_metrics_points(progress.evaluations[-1]))

    def saved(self, durations: Sequence[tuple[int, float]]) -> None:
        """Sends the points before a checkpoint, and adds the time it took."""
        assert self._delivery
        for at_step, seconds in durations:
            while self._ends and self._ends[0][0] <= at_step:
                step, end = self._ends.popleft()
                self._delivery.release(end)
                if step == at_step:
                    break
            self._add(at_step, "train", curves.of_checkpoint(seconds))
        for sentence in self._delivery.take_news():
            self._line.settle(sentence)

    def checkpoint_state(self) -> dict[str, Any]:
        """Returns the points that the tracker has not taken yet."""
        assert self._delivery
        first, points = self._delivery.waiting()
        self._ends.append((self._step, first + len(points)))
        return {self._tracker.name: {"first": first, "points": points}}

    def end(self, evaluation: Evaluation) -> None:
        """Adds the test metrics."""
        labels = self._run.data.splits["test"].labels
        measured = classification.measure_all(evaluation.scores["test"], labels)
        self._add(evaluation.kept["step"], "test", curves.of_metrics(measured))

    def finished(self) -> None:
        """Notes that the files of the run are there."""
        self._finished = True

    def close(self, error: BaseException | None) -> None:
        """Sends what is left and the files, as far as the tracker takes them in time."""
        if not self._delivery:
            return
        if self._finished:
            self._delivery.release(self._delivery.add([]))
        seconds = STOP_SECONDS if error else self._end_seconds
        self._line.show(f"{self._tracker.name} takes what is left ...", at_once=True)
        done = self._delivery.end(lambda: self._end_tracker(error), seconds)
        for sentence in self._delivery.take_news():
            self._line.settle(sentence)
        if not done and not error:
            self._line.settle(
                f"{self._tracker.name} has not taken all of the run: the same command sends it "
                "what is missing"
            )

    def _end_tracker(self, error: BaseException | None) -> None:
        if self._finished:
            workdir = self._run.workdir
            names = [name for name in FILES if (workdir / name).exists()]
            pictures = [file for pattern in PICTURES for file in workdir.glob(pattern)]
            names += [str(file.relative_to(workdir)) for file in pictures]
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(workdir)
                if gcs.is_gcs(workdir):
                    folder = Path(temporary)
                    for name in names:
                        copy = epath.Path(folder / name)
                        copy.parent.mkdir(parents=True, exist_ok=True)
                        copy.write_bytes((workdir / name).read_bytes())
                self._tracker.files(folder, names)
        self._tracker.end(error)

    def _add(self, step: int, part: str, values: curves.Values) -> None:
        assert self._delivery
        self._delivery.add([_point(step, part, values)])


def description(run: Run, *, first: int, continues: bool) -> Description:
    """Returns what a tracker is told of a run; its record of starts is written before."""
    record = json_files.read(run.workdir / "environment.json")
    newest = environment.starts(record)[-1]
    tags = {
        "git_commit": newest["git_commit"] or "",
        "dataset_fingerprint": run.data.summary["dataset_fingerprint"],
        "workdir": str(run.workdir),
        "checkpoints": str(run.checkpoints),
        "command": newest["command"],
    }
    settings = dict(schema.fields(run.config))
    return Description(
        name=trial_name(run.workdir),
        workdir=run.workdir,
        settings=settings,
        tags=tags,
        first=first,
        continues=continues,
    )


def _metrics_points(row: Mapping[str, Any]) -> list[Point]:
    parts = [part for part in ("train", "validation") if part in row]
    return [_point(row["step"], part, curves.of_metrics(row[part])) for part in parts]


def _point(step: int, part: str, values: curves.Values) -> Point:
    known = {f"{part}/{name}": float(v) for name, v in values.items() if v is not None}
    return Point(step, time.time(), known)
