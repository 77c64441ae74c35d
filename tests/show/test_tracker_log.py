"""A tracker gets each step of a run once, and neither its slowness nor its failure is the run's."""

import io
import json
import re
import runpy
import sqlite3
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from etils import epath

from trainer import train
from trainer.config import schema
from trainer.show import delivery
from trainer.show.tracker import Description, Point, Tracker
from trainer.show.tracker_log import TrackerLog
from trainer.system.terminal import LiveLine

ROOT = Path(__file__).parents[2]
RESULT = SimpleNamespace(
    losses=np.ones(1), gradient_norm=1.0, update_ratio=0.1, seconds=1.0, wait_seconds=0.0
)
TIMER = SimpleNamespace(known=False, slowest=None)
METRICS = dict.fromkeys(
    ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity"), 0.5
)


class Kept(Tracker):
    """Keeps in memory what it is given."""

    name = "kept"

    def __init__(self):
        self.points, self.described, self.ends = dict[int, Point](), list[Description](), []

    def begin(self, run: Description) -> str:
        self.described.append(run)
        return "in memory"

    def log(self, first: int, points: list[Point]) -> None:
        for number, point in enumerate(points, first):
            assert number not in self.points
            self.points[number] = point

    def end(self, error: BaseException | None) -> None:
        self.ends.append(error)

    @property
    def steps(self) -> list[int]:
        return [self.points[number].step for number in sorted(self.points)]


class Slow(Kept):
    """Takes points only when it is let."""

    def __init__(self):
        super().__init__()
        self.entered, self.let = threading.Event(), threading.Event()

    def log(self, first: int, points: list[Point]) -> None:
        self.entered.set()
        assert self.let.wait(20)
        super().log(first, points)


class Away(Kept):
    """Fails each time."""

    def log(self, first: int, points: list[Point]) -> None:
        raise ConnectionError(f"no route to host, of {first}.\nTraceback")


class Following:
    """A run of one loop a step, which a tracker follows."""

    def __init__(
        self,
        workdir: epath.Path,
        tracker: Tracker,
        *,
        saved: dict | None = None,
        step: int = 0,
    ):
        start = {"command": "radiograph train", "git_commit": "abc"}
        (workdir / "environment.json").write_text(json.dumps({**start, "starts": [start]}))
        run = SimpleNamespace(
            workdir=workdir,
            checkpoints=workdir / "checkpoints",
            config=schema.default(),
            data=SimpleNamespace(summary={"dataset_fingerprint": "f"}),
            learning_rate=0.1,
        )
        self.shown = io.StringIO()
        self.progress = SimpleNamespace(step=step, history=[], evaluations=[])
        self.log = TrackerLog(tracker, LiveLine(self.shown), end_seconds=20)
        if step:
            self.progress.evaluations = [{"step": 0, "validation": METRICS}]
            self.progress.history = [{"step": step, "train": METRICS, "validation": METRICS}]
        self.log.begin(run, self.progress, saved or {})

    def take_steps(self, count: int) -> None:
        for _ in range(count):
            self.progress.step += 1
            self.log.steps(self.progress, RESULT, TIMER)
            self.log.saved([])

    def checkpoint(self, *, written: bool = True) -> dict:
        """Returns what a checkpoint holds of it, as JSON."""
        state = json.loads(json.dumps(self.log.checkpoint_state()))
        if written:
            self.log.saved([(self.progress.step, 0.1)])
        return state

    def end(self) -> str:
        """Returns what was shown until the end."""
        self.log.finished()
        self.log.close(None)
        return self.shown.getvalue()


@pytest.fixture
def workdir(tmp_path: epath.Path) -> epath.Path:
    return epath.Path(tmp_path)


def test_a_step_is_sent_when_its_checkpoint_is_written_and_then_once(workdir: epath.Path):
    first, second = Kept(), Kept()
    killed = Following(workdir, first)
    killed.take_steps(3)
    checkpoint = killed.checkpoint()
    killed.take_steps(2)
    killed.checkpoint(written=False)
    killed.take_steps(1)
    killed.log.close(KeyboardInterrupt())  # what is not in a written checkpoint comes again
    assert first.steps == [1, 2, 3] and len(first.ends) == 1
    assert first.described[0].tags["git_commit"] == "abc" and first.described[0].first == 0
    second.points = first.points
    second.log = lambda first, points: second.points.update(enumerate(points, first))
    resumed = Following(workdir, second, saved=checkpoint, step=3)
    resumed.take_steps(3)
    shown = resumed.end()
    assert second.steps == [1, 2, 3, 4, 5, 6]
    assert shown == "kept: in memory\n" and second.ends == [None]


def test_a_tracker_that_waits_does_not_hold_the_loop(workdir: epath.Path):
    tracker = Slow()
    run = Following(workdir, tracker)
    run.take_steps(2)
    run.checkpoint()
    assert tracker.entered.wait(20)
    run.take_steps(100)
    run.checkpoint()
    assert tracker.steps == []  # all that was done while the tracker has not taken a point
    tracker.let.set()
    assert "not taken" not in run.end()
    assert [step for step in tracker.steps if step > 2][:100] == list(range(3, 103))


def test_the_end_waits_for_a_tracker_no_longer_than_it_is_told(workdir: epath.Path):
    tracker = Slow()
    run = Following(workdir, tracker)
    run.take_steps(2)
    run.checkpoint()
    run.log._end_seconds = 0.1
    assert run.end().endswith(
        "kept has not taken all of the run: the same command sends it what is missing\n"
    )
    tracker.let.set()


def test_a_failure_is_said_once_and_what_was_not_sent_is_when_the_run_goes_on(workdir: epath.Path):
    run = Following(workdir, Away())
    for _ in range(3):
        run.take_steps(1)
        checkpoint = run.checkpoint()
    shown = run.end()
    assert shown.count("kept fails (no route to host, of 0): the run goes on without\n") == 1
    assert "Traceback" not in shown
    tracker = Kept()
    assert "fails" not in Following(workdir, tracker, saved=checkpoint, step=3).end()
    assert [point.step for point in tracker.points.values() if len(point.values) > 1] == [1, 2, 3]


def test_what_waits_is_bounded(workdir: epath.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery, "MOST", 3)
    tracker = Kept()
    run = Following(workdir, tracker)
    run.take_steps(5)
    run.checkpoint()
    shown = run.end()
    assert "kept: its oldest points are dropped\n" in shown
    assert tracker.steps == [4, 5, 5]  # steps 4 and 5, and how long the checkpoint took


def test_a_tracker_that_is_added_later_gets_the_epochs_before(workdir: epath.Path):
    tracker = Kept()
    run = Following(workdir, tracker, step=7)
    run.take_steps(1)
    run.end()
    assert tracker.steps == [0, 7, 7, 8] and not tracker.described[0].continues
    assert tracker.points[2].values["validation/metrics/auc"] == 0.5


def test_the_tracker_of_the_documents_keeps_each_step_once(
    workdir: epath.Path, monkeypatch: pytest.MonkeyPatch
):
    page = (ROOT / "docs/loggers.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    config = workdir / "config.json"
    config.write_text(json.dumps(schema.default().to_dict()))
    (workdir / "own.py").write_text(program)
    monkeypatch.setattr(sys, "argv", ["own.py", str(config), str(workdir)])
    checkpoints = [{}]

    def train_and_evaluate(config: object, workdir: epath.Path, **given: object) -> None:
        (log,) = given["loggers"]
        run = Following(workdir, log._tracker, saved=checkpoints[-1], step=2 * len(checkpoints) - 2)
        run.take_steps(2)
        checkpoints.append(run.checkpoint(written=len(checkpoints) > 1))
        run.end() if len(checkpoints) > 2 else run.log.close(KeyboardInterrupt())

    monkeypatch.setattr(train, "train_and_evaluate", train_and_evaluate)
    for _ in range(2):
        runpy.run_path(str(workdir / "own.py"), run_name="__main__")
    with sqlite3.connect(workdir / "points.db") as table:
        losses = table.execute("SELECT step, value FROM points WHERE name LIKE '%step_loss'")
        assert losses.fetchall() == [(step, 1.0) for step in (1, 2, 3, 4)]
