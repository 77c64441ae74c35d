"""Training progress: steps taken, metrics of finished epochs, and the best epoch so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.metrics import classification
from trainer.metrics.scores import Scores
from trainer.training.step import LoopResult


@dataclass
class Progress:
    """How far a run has come; saved with every checkpoint, and equal on all workers.

    Attributes:
      step: steps taken.
      history: a row of metrics for each finished epoch, as in `history.json`.
      best: step, epoch, AUC and loss of the best epoch by validation AUC.
      epoch_seconds: time spent on the current epoch.
      wait_seconds: the part of it spent waiting for input.
      score_parts: of the training images seen in the current epoch, loop by loop, each
        [n, 2 K + 1] float32 as in `Scores.columns()`.
    """

    step: int = 0
    history: list[dict] = field(default_factory=list)
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
        fields = {n: saved[n] for n in cls.__dataclass_fields__ if n != "score_parts"}
        return cls(**fields, score_parts=[scores] if scores.size else [])

    def add_loop(self, result: LoopResult) -> None:
        """Adds a loop of training steps."""
        self.step += len(result.losses)
        self.epoch_seconds += result.seconds
        self.wait_seconds += result.wait_seconds
        self.score_parts.append(result.scores.without_padding().columns())

    def end_epoch(self, labels: Sequence[str], validation: Scores, learning_rate: float) -> None:
        """Adds the epoch's row to the history, and notes whether it is the best so far.

        Half precision may recover from an output that overflowed: such an image is left out of the
        training metrics, and counted.
        """
        columns = self.scores
        finite = np.isfinite(columns).all(1)
        training = Scores.from_columns(columns[finite], validation.outputs)
        row: dict[str, Any] = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "seconds": self.epoch_seconds,
            "train": {
                **classification.measure_all(training, labels),
                "learning_rate": learning_rate,
                "not_finite": int(np.sum(~finite)),
                "images_per_second": len(columns) / self.epoch_seconds,
                "input_wait": self.wait_seconds / self.epoch_seconds,
            },
            "validation": classification.measure_all(validation, labels),
        }
        self.history.append(row)
        self.score_parts = []
        self.epoch_seconds = self.wait_seconds = 0.0
        candidate = {"epoch": row["epoch"], "step": self.step}
        candidate |= {name: row["validation"][name] for name in ("auc", "loss")}
        if self.best is None or _rank(candidate) > _rank(self.best):
            self.best = candidate


def _rank(epoch: dict) -> tuple[float, float]:
    return (-1.0 if epoch["auc"] is None else epoch["auc"], -epoch["loss"])
