"""Training progress: steps taken, metrics of finished epochs and between, and the best so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.metrics import classification
from trainer.metrics.scores import Scores
from trainer.training.patience import rank
from trainer.training.step import LoopResult

Measure = Callable[[Any, Sequence[str]], dict[str, Any]]  # scores and labels -> metrics


@dataclass
class Progress:
    """How far a run has come; saved with every checkpoint, and equal on all workers.

    Attributes:
      step: steps taken.
      history: a row of metrics for each finished epoch, as in `history.json`.
      evaluations: a row for each evaluation that is not at the end of an epoch, as in
        `evaluations.json`.
      best: step, finished epochs, AUC and loss of the best evaluation on validation, and what it is
        the best by; the best epoch unless the network is evaluated at steps within them.
      epoch_seconds: time spent on the current epoch.
      wait_seconds: the part of it spent waiting for input.
      score_parts: of the training images seen in the current epoch, loop by loop, each
        [n, 2 K + 1] float32 as in `Scores.columns()`.
    """

    step: int = 0
    history: list[dict] = field(default_factory=list)
    evaluations: list[dict] = field(default_factory=list)
    best: dict | None = None
    epoch_seconds: float = 0.0
    wait_seconds: float = 0.0
    score_parts: list[np.ndarray] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    @property
    def scores(self) -> np.ndarray:
        """All parts of the scores: [n, 2 K + 1] float32, [0, 0] before the first."""
        return np.concatenate(self.score_parts or [np.zeros((0, 0), np.float32)])

    def to_dict(self) -> dict:
        """Returns everything but the scores, as JSON."""
        fields = {name: value for name, value in vars(self).items() if name != "score_parts"}
        return {**fields, "epoch": self.epoch}

    @classmethod
    def from_dict(cls, saved: dict, scores: np.ndarray) -> "Progress":
        """Returns the progress that `to_dict` and a checkpoint's scores describe."""
        # One of an earlier version lacks the evaluations.
        fields = {n: saved[n] for n in cls.__dataclass_fields__ if n in saved}
        return cls(**fields, score_parts=[scores] if scores.size else [])

    def add_loop(self, result: LoopResult) -> None:
        """Adds a loop of training steps."""
        self.step += len(result.losses)
        self.epoch_seconds += result.seconds
        self.wait_seconds += result.wait_seconds
        self.score_parts.append(result.scores.without_padding().columns())

    def end_epoch(
        self,
        labels: Sequence[str],
        validation: Scores,
        learning_rate: float,
        *,
        best_by: str = "auc",
        limit: np.ndarray | None = None,
        test: Scores | None = None,
        measure: Measure = classification.measure_all,
    ) -> None:
        """Adds the epoch's row to the history, and notes whether it is the best so far.

        Half precision may recover from an output that overflowed: such an image is left out of the
        training metrics, and counted.

        Args:
          labels: their names.
          validation: scores of all validation images.
          learning_rate: of the next step.
          best_by: the metric that chooses the best, see `patience.rank`.
          limit: numbers of the validation images that choose the best, where epochs compete with
            evaluations within them, which saw no others; None for all.
          test: scores of the test images, which choose nothing.
          measure: what gives the metrics of scores.
        """
        columns = self.scores
        finite = np.isfinite(columns).all(1)
        training = Scores.from_columns(columns[finite], validation.outputs)
        row: dict[str, Any] = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "seconds": self.epoch_seconds,
            "train": {
                **measure(training, labels),
                "learning_rate": learning_rate,
                "not_finite": int(np.sum(~finite)),
                "images_per_second": len(columns) / self.epoch_seconds,
                "input_wait": self.wait_seconds / self.epoch_seconds,
            },
            "validation": measure(validation, labels),
        }
        if test is not None:
            row["test"] = measure(test, labels)
        self.history.append(row)
        self.score_parts = []
        self.epoch_seconds = self.wait_seconds = 0.0
        if limit is None:
            self._compete(row["validation"], best_by)
        else:
            self._compete(measure(validation.take(limit), labels), best_by)

    def add_evaluation(
        self,
        labels: Sequence[str],
        validation: Scores,
        *,
        reason: str,
        epochs: float,
        best_by: str = "auc",
        measure: Measure = classification.measure_all,
    ) -> None:
        """Adds an evaluation that is not at the end of an epoch; one at a step may be the best.

        Args:
          labels: their names.
          validation: scores of the validation images that were looked at.
          reason: "start" before the first step, "steps" or "minutes".
          epochs: taken so far, with the part of the current one.
          best_by: the metric that chooses the best, see `patience.rank`.
          measure: what gives the metrics of scores.
        """
        measured = measure(validation, labels)
        row = {"step": self.step, "epochs": epochs, "reason": reason}
        row |= {"images": len(validation.logits), "validation": measured}
        self.evaluations.append(row)
        if reason == "steps":  # a clock is in no replay, and an untrained network is no result
            self._compete(measured, best_by)

    def _compete(self, measured: dict, best_by: str) -> None:
        candidate = {"epoch": self.epoch, "step": self.step}
        candidate |= {name: measured[name] for name in ("auc", "loss", best_by)}
        if self.best is None or rank(candidate, best_by) > rank(self.best, best_by):
            self.best = candidate

    @property
    def last(self) -> dict:
        """Step, number, and validation metrics of the last finished epoch."""
        row = self.history[-1]
        return {"epoch": row["epoch"], "step": row["step"], **row["validation"]}

    def kept(self, result: str) -> dict:
        """Returns epoch, step, AUC and loss of what the run would keep if it ended now.

        Args:
          result: "best" or "last", as `checkpoint.result`.
        """
        assert self.best is not None, "no epoch is finished"
        return self.last if result == "last" else self.best
