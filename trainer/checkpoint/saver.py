"""Saves the checkpoints of a run while it goes on."""

import copy
import threading
import time
from contextlib import suppress

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.checkpoint import checkpoint
from trainer.system.errors import CannotWrite, bucket_error


class Saver:
    """Writes a run's checkpoints in the background, one at a time, and removes old ones.

    Args:
      folder: of the checkpoints.
      keep: how many of the newest are kept, beside the best.
    """

    def __init__(self, folder: epath.Path, keep: int):
        self._folder, self._keep = folder, keep
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._durations: list[tuple[int, float]] = []

    def save(
        self, variables: dict[str, tf.Variable], arrays: dict[str, np.ndarray], progress: dict
    ) -> None:
        """Copies everything to memory, and begins to write it.

        Args:
          variables: by name.
          arrays: by name; `checkpoint.restore` returns them.
          progress: of the run; `step` and `epoch` name the folder, and `best` is not removed.

        Raises:
          CannotWrite: if the previous checkpoint could not be written.
        """
        self.wait()
        copies = {name: np.array(variable.numpy()) for name, variable in variables.items()}
        progress = copy.deepcopy(progress)  # the run goes on adding to its history
        self._thread = threading.Thread(target=self._write, args=(copies | arrays, progress))
        self._thread.start()

    def wait(self) -> None:
        """Returns once nothing is being written.

        Raises:
          CannotWrite: if the last could not be written.
          Unavailable: if a bucket did not answer.
          BaseException: whatever else ended the writing, such as a MemoryError.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            if not isinstance(error, OSError | tf.errors.OpError):
                raise error
            left = checkpoint.complete(self._folder)
            sentence = (
                f"a checkpoint could not be written to {self._folder} "
                f"({checkpoint.reason(error)}); the newest there is "
                f"{left[-1].name if left else 'none yet'}. Mend that, then give the same command "
                "again."
            )
            raise bucket_error(error, sentence, CannotWrite) from error

    def take_durations(self) -> list[tuple[int, float]]:
        """Returns step and seconds of each checkpoint written since the last call."""
        taken, self._durations = self._durations, []
        return taken

    def newest(self) -> list[float]:
        """Returns 1, step and epoch of the newest checkpoint that verifies; zeros without one.

        Raises:
          CheckpointsDamaged: if there are some, but none verifies.
        """
        folder = checkpoint.newest(self._folder)
        return [1.0, *map(float, checkpoint.step_and_epoch(folder))] if folder else [0.0, 0.0, 0.0]

    def check(self, folder: epath.Path) -> None:
        """Raises CheckpointsDamaged unless the checkpoint in `folder` verifies."""
        checkpoint.check(folder)

    def _write(self, arrays: dict[str, np.ndarray], progress: dict) -> None:
        folder = checkpoint.path(self._folder, progress["step"], progress["epoch"])
        began = time.perf_counter()
        try:
            if not _written(folder, progress):
                checkpoint.write(folder, arrays, progress)
                self._durations.append((progress["step"], time.perf_counter() - began))
        except BaseException as error:  # `wait` raises it in the thread that trains
            self._error = error
            return
        with suppress(OSError, tf.errors.OpError):  # what is left is removed after the next save
            self._remove_old(progress.get("best"))

    def _remove_old(self, best: dict | None) -> None:
        kept = set(checkpoint.complete(self._folder)[-self._keep :])
        if best:
            kept.add(checkpoint.path(self._folder, best["step"], best["epoch"]))
        for folder in checkpoint.folders(self._folder):
            if folder not in kept:
                checkpoint.remove(folder)


def _written(folder: epath.Path, progress: dict) -> bool:
    """Returns whether the checkpoint is there, with the same best one, which is to be kept."""
    if not (folder / checkpoint.MANIFEST).exists():
        return False
    return checkpoint.read_progress(folder).get("best") == progress.get("best")


class NoSaver:
    """Takes the place of `Saver` on the workers that write nothing."""

    def save(self, *checkpoint: object) -> None:
        """Does nothing."""

    def wait(self) -> None:
        """Does nothing."""

    def take_durations(self) -> list[tuple[int, float]]:
        """Returns no checkpoints."""
        return []

    def newest(self) -> list[float]:
        """Returns zeros: the chief chooses."""
        return [0.0, 0.0, 0.0]

    def check(self, folder: epath.Path) -> None:
        """Does nothing: the chief verifies."""
