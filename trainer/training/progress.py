"""What the host knows of a run: the steps taken, the epochs behind it, and the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trainer.metrics import classification
from trainer.system.terminal import clock
from trainer.training.step import LoopResult, Scores


@dataclass
class Progress:
    """It is saved with every checkpoint, and alike on all workers.

    Attributes:
      step: steps taken.
      history: a row an epoch, see `report`.
      best: step, epoch, AUC and loss of the best epoch by validation AUC.
      epoch_seconds: time spent on the epoch that is under way.
      wait_seconds: of those, waiting for input.
      scores: what the network said of the epoch's training images so far, [n, 2 K + 1] float32
        as in `Scores.columns()`; [0, 0] before the first.
    """

    step: int = 0
    history: list[dict] = field(default_factory=list)
    best: dict | None = None
    epoch_seconds: float = 0.0
    wait_seconds: float = 0.0
    scores: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def epoch(self) -> int:
        """Epochs that are evaluated."""
        return len(self.history)

    def progress(self) -> dict:
        """Returns all but the scores, as a checkpoint's progress."""
        return {**vars(self), "epoch": self.epoch, "scores": None}

    @classmethod
    def from_progress(cls, progress: dict, scores: np.ndarray) -> "Progress":
        """Returns the record that a checkpoint holds."""
        fields = {name: progress[name] for name in cls.__dataclass_fields__}
        return cls(**(fields | {"scores": scores}))

    def add_loop(self, result: LoopResult) -> None:
        """Adds what a loop of steps returned."""
        self.step += len(result.losses)
        self.epoch_seconds += result.seconds
        self.wait_seconds += result.wait_seconds
        seen = result.scores.seen().columns()
        self.scores = np.concatenate([self.scores, seen]) if self.scores.size else seen

    def end_epoch(self, labels: Sequence[str], validation: Scores, learning_rate: float) -> None:
        """Adds the epoch's row to the history, and sees whether it is the best so far."""
        trained = Scores.of_columns(self.scores)
        row = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "seconds": self.epoch_seconds,
            "train": {
                **classification.measure_all(trained, labels),
                "learning_rate": learning_rate,
                "images_per_second": len(trained.logits) / self.epoch_seconds,
                "input_wait": self.wait_seconds / self.epoch_seconds,
            },
            "validation": classification.measure_all(validation, labels),
        }
        self.history.append(row)
        self.scores = self.scores[:0]
        self.epoch_seconds = self.wait_seconds = 0.0
        measured = row["validation"]
        candidate = {"epoch": row["epoch"], "step": self.step}
        candidate |= {"auc": measured["auc"], "loss": measured["loss"]}
        if self.best is None or _rank(candidate) > _rank(self.best):
            self.best = candidate

    def heading(self) -> str:
        """Returns what stands above `last_line`."""
        auc = "mean AUC" if "labels" in self.history[-1]["train"] else "AUC"
        measured = f"{'accuracy':>10}{auc:>10}"
        return f"  epoch  train loss{measured}  validation loss{measured}  images/s     time"

    def last_line(self, epochs: int) -> str:
        """Returns the last epoch's row as a line for the terminal, with "best" if it is so far."""
        row = self.history[-1]

        def measured(part: str) -> str:
            values = row[part]
            auc = "-" if values["auc"] is None else f"{values['auc']:.4f}"
            return f"{values['accuracy']:10.4f}{auc:>10}"

        epoch, rate = f"{row['epoch']}/{epochs}", row["train"]["images_per_second"]
        line = (
            f"{epoch:>7}{row['train']['loss']:12.4f}{measured('train')}"
            f"{row['validation']['loss']:17.4f}{measured('validation')}"
            f"{rate:10,.0f}{clock(row['seconds']):>9}"
        )
        return f"{line}  best" if self.best["epoch"] == row["epoch"] else line


def _rank(epoch: dict) -> tuple[float, float]:
    return (-1.0 if epoch["auc"] is None else epoch["auc"], -epoch["loss"])
