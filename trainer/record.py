"""What the host knows of a run: the steps taken, the epochs behind it, and the best of them."""

from dataclasses import dataclass, field

import numpy as np

from trainer import metrics
from trainer.progress import clock
from trainer.step import LoopResult, Scores


@dataclass
class Record:
    """It is saved with every checkpoint, and alike on all workers.

    Attributes:
      step: steps taken.
      history: a row an epoch, see `report`.
      best: step, epoch, AUC and loss of the best epoch by validation AUC.
      epoch_seconds: time spent on the epoch that is under way.
      wait_seconds: of those, waiting for input.
      scores: what the network said of the epoch's training images so far: [3, n] float32.
    """

    step: int = 0
    history: list[dict] = field(default_factory=list)
    best: dict | None = None
    epoch_seconds: float = 0.0
    wait_seconds: float = 0.0
    scores: np.ndarray = field(default_factory=lambda: np.zeros((3, 0), np.float32))

    @property
    def epoch(self) -> int:
        """Epochs that are evaluated."""
        return len(self.history)

    def progress(self) -> dict:
        """Returns all but the scores, as a checkpoint's progress."""
        return {**vars(self), "epoch": self.epoch, "scores": None}

    @classmethod
    def from_progress(cls, progress: dict, scores: np.ndarray) -> "Record":
        """Returns the record that a checkpoint holds."""
        fields = {name: progress[name] for name in cls.__dataclass_fields__}
        return cls(**(fields | {"scores": scores}))

    def add_loop(self, result: LoopResult) -> None:
        """Adds what a loop of steps returned."""
        self.step += len(result.losses)
        self.epoch_seconds += result.seconds
        self.wait_seconds += result.wait_seconds
        self.scores = np.concatenate([self.scores, result.scores.seen()], axis=1)

    def end_epoch(self, validation: Scores, learning_rate: float) -> bool:
        """Adds the epoch's row to the history; returns whether it is the best so far."""
        trained = Scores(*self.scores)
        row = {
            "epoch": len(self.history) + 1,
            "step": self.step,
            "seconds": self.epoch_seconds,
            "train": {
                **metrics.measure(trained),
                "learning_rate": learning_rate,
                "images_per_second": len(trained.logits) / self.epoch_seconds,
                "input_wait": self.wait_seconds / self.epoch_seconds,
            },
            "validation": metrics.measure(validation),
        }
        self.history.append(row)
        self.scores = self.scores[:, :0]
        self.epoch_seconds = self.wait_seconds = 0.0
        measured = row["validation"]
        candidate = {"epoch": row["epoch"], "step": self.step}
        candidate |= {"auc": measured["auc"], "loss": measured["loss"]}
        is_best = self.best is None or _rank(candidate) > _rank(self.best)
        if is_best:
            self.best = candidate
        return is_best

    def last_line(self, epochs: int) -> str:
        """Returns the last epoch's row as a line for the terminal."""
        row = self.history[-1]

        def of(part: str) -> str:
            values = row[part]
            auc = "-" if values["auc"] is None else f"{values['auc']:.4f}"
            return f"{part} loss {values['loss']:.4f} accuracy {values['accuracy']:.4f} AUC {auc}"

        rate = row["train"]["images_per_second"]
        return (
            f"epoch {row['epoch']:>3}/{epochs}  {of('train')}  |  {of('validation')}  |  "
            f"{rate:.0f} images/s, {clock(row['seconds'])}"
        )


def _rank(epoch: dict) -> tuple[float, float]:
    return (-1.0 if epoch["auc"] is None else epoch["auc"], -epoch["loss"])
