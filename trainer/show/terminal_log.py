"""The terminal: a live line while a run trains, a row for each epoch, and the result."""

import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.metrics.scores import Scores
from trainer.show import evaluation_table
from trainer.show.logger import Evaluation, Logger
from trainer.system.terminal import LiveLine, clock, coloured
from trainer.training.loop_timer import LoopTimer, Straggler
from trainer.training.progress import Progress
from trainer.training.run import Run
from trainer.training.step import LoopResult

COSTLY = 0.1  # share of a loop that a straggler may cost without being named


class TerminalLog(Logger):
    """Shows a run in the terminal.

    Args:
      line: the live line; a quiet one leaves the result alone.
      show_test: whether the metrics of the test split are printed at the end.
    """

    def __init__(self, line: LiveLine, *, show_test: bool = True):
        self._line, self._show_test = line, show_test
        self._pace: tuple[float, int] | None = None  # time and step at which the first loop ended
        self._begin_epoch()

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Shows the network, the replicas, and the length of the training."""
        self._run, self._skipped_steps = run, run.state.skipped_steps
        resumed = f", going on at step {progress.step:,}" if progress.step else ""
        if run.is_done(progress):
            resumed = ", all done before: only evaluated"
        self._line.settle(
            f"{run.config.name}: {run.state.model.count_params():,} parameters, {run.replicas}, "
            f"{run.total_steps:,} steps of {run.config.train.batch_size} images{resumed}"
        )
        self._line.settle(run.pixels.description)
        size, stored = run.config.data.image_size, run.data.summary["max_side"]
        if size > stored:
            self._line.settle(
                f"data.image_size={size} enlarges images of at most {stored} pixels: prepare with "
                f"--max_side={size} to keep what they show"
            )

    def status(self, text: str) -> None:
        """Shows what is being done."""
        self._line.show(text, at_once=True)

    def message(self, text: str) -> None:
        """Prints a result, also where progress is not shown."""
        self._line.clear()
        print(text, flush=True)

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Shows loss, speed and the time that is left."""
        skipped = self._run.state.skipped_steps
        if new := skipped - self._skipped_steps:
            self._line.settle(
                f"step {progress.step:,}: {new} steps skipped, whose gradients were not finite; "
                f"the loss scale is now {self._run.state.loss_scale:g}"
            )
        self._skipped_steps = skipped
        self._losses.append(result.losses)
        if self._pace is None:  # the first loop also compiles
            self._pace = time.monotonic(), progress.step
            return
        config, total = self._run.config, self._run.total_steps
        rate = config.train.batch_size * len(result.losses) / result.seconds
        self._line.show(
            f"epoch {progress.epoch + 1}/{config.train.epochs}  step {progress.step:,}/{total:,}  "
            f"loss {np.concatenate(self._losses).mean():.4f}  {rate:.0f} images/s  "
            f"{clock(self._seconds_left(progress.step))} left{self._straggler(timer.slowest)}",
            progress.step / total,
        )

    def _begin_epoch(self) -> None:
        self._losses: list[np.ndarray] = []  # whose mean the live line shows

    def _seconds_left(self, step: int) -> float:
        """Returns what the steps that are left take at the pace since the first loop.

        Evaluations and pictures between them count too, so that it goes down as steadily as time.
        """
        assert self._pace is not None
        since, first_step = self._pace
        return (self._run.total_steps - step) * (time.monotonic() - since) / (step - first_step)

    def _straggler(self, slowest: Straggler | None) -> str:
        """Returns which worker keeps the others waiting, "" where that costs little."""
        if slowest is None or slowest.cost < COSTLY:
            return ""
        name = self._run.replicas.name(slowest.worker)
        return f"  {name} keeps the others waiting: {slowest.wait:.0%} of its time for input"

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Shows the epoch's row."""
        row = epoch_row(progress, self._run.config.train.epochs)
        self._line.settle(row, epoch_heading(progress.history[-1]["train"]))
        self._begin_epoch()

    def evaluation(self, progress: Progress) -> None:
        """Shows the row of an evaluation that is not at the end of an epoch."""
        heading = epoch_heading(progress.evaluations[-1]["validation"])
        self._line.settle(evaluation_row(progress), heading)

    def end(self, evaluation: Evaluation) -> None:
        """Prints the metrics of the test split."""
        if self._show_test:
            title, *rows = evaluation_table.table(evaluation.result).splitlines()
            self.message("\n".join(["", coloured(title, "bold", sys.stdout), *rows, ""]))
        if "tensorboard" in self._run.config.loggers.split(","):
            events = shlex.quote(str(self._run.events.parent))
            self.message(f"TensorBoard: scripts/tensorboard.sh {events}")


def epoch_heading(measured: Mapping[str, Any]) -> str:
    """Returns the heading above the rows of `epoch_row`, for metrics such as these."""
    auc = "mean AUC" if "labels" in measured else "AUC"
    metrics = f"{'acc.':>7}{auc:>9}"
    return f"  epoch  loss{metrics}  val. loss{metrics} images/s    time"


def epoch_row(progress: Progress, epochs: int) -> str:
    """Returns the last epoch as a row of a table, marked where it is the best so far.

    Args:
      progress: with at least one finished epoch.
      epochs: of the whole run.
    """
    row = progress.history[-1]
    epoch, rate = f"{row['epoch']}/{epochs}", row["train"]["images_per_second"]
    line = (
        f"{epoch:>7}{row['train']['loss']:6.3f}{_accuracy_and_auc(row['train'])}"
        f"{row['validation']['loss']:11.3f}{_accuracy_and_auc(row['validation'])}"
        f"{rate:9,.0f}{clock(row['seconds']):>8}"
    )
    return line + _best_mark(progress)


def evaluation_row(progress: Progress) -> str:
    """Returns the last evaluation between as a row of that table: epochs taken, and validation."""
    row = progress.evaluations[-1]
    validation = f"{row['validation']['loss']:11.3f}{_accuracy_and_auc(row['validation'])}"
    return f"{row['epochs']:7.2f}{'':22}{validation}{_best_mark(progress)}"


def _accuracy_and_auc(measured: Mapping[str, Any]) -> str:
    accuracy, auc = (
        "-" if measured[name] is None else f"{measured[name]:.4f}" for name in ("accuracy", "auc")
    )
    return f"{accuracy:>7}{auc:>9}"


def _best_mark(progress: Progress) -> str:
    return "  best" if progress.best and progress.best["step"] == progress.step else ""
