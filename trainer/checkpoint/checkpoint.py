"""Checkpoints: written in the background, whole or none, restored only whole.

A checkpoint is a folder with the variables as TensorFlow writes them (`tf.train.load_checkpoint`
reads them by name), what the host knows of the run, and a manifest with the size and the checksum
of each file. The manifest is written last: a folder without one was interrupted, and is no
checkpoint.
"""

import copy
import hashlib
import json
import re
import sys
import threading
import time
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.system import atomic, errors, gcs
from trainer.system.errors import CannotWrite, CheckpointsDamaged, UsageError, of_bucket

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
VARIABLES = "variables"
DAMAGED = "damaged-"

# Whatever has another name is not the run's, and is left alone.
NAME = re.compile(r"step-\d{9,}-epoch-\d{6,}")
FILES = re.compile(r"variables\..*|(progress|manifest)\.json")

# Missing in a checkpoint of another precision, and left out of one of this: they start anew.
OPTIONAL = "loss_scale/"


class Saver:
    """Saves a run's checkpoints, one at a time, while the run goes on.

    Args:
      folder: where they are kept.
      keep: how many of the newest; the best is kept beside them.
    """

    def __init__(self, folder: epath.Path, keep: int):
        self._folder, self._keep = folder, keep
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._durations: list[tuple[int, float]] = []

    def save(
        self, variables: dict[str, tf.Variable], arrays: dict[str, np.ndarray], progress: dict
    ) -> None:
        """Copies everything to memory, and begins to write it.

        Args:
          variables: by name.
          arrays: saved like them; `restore` returns them.
          progress: of the run; `step`, `epoch` and `best` give the folder its name and keep the
            best from being removed.

        Raises:
          CannotWrite: if the one before could not be written.
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
          Unavailable: if that was as the bucket did not answer.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            left = complete(self._folder)
            raise of_bucket(error, CannotWrite)(
                f"a checkpoint could not be written to {self._folder} ({_reason(error)}); the "
                f"newest there is {left[-1].name if left else 'none yet'}. Mend that, then give "
                "the same command again."
            ) from error

    def take_durations(self) -> list[tuple[int, float]]:
        """Returns step and seconds of each checkpoint that has been written since the last call."""
        taken, self._durations = self._durations, []
        return taken

    def newest(self) -> list[float]:
        """Returns 1, step and epoch of the newest checkpoint that verifies; zeros without one.

        Raises:
          CheckpointsDamaged: if there are some, but none verifies.
        """
        folder = newest(self._folder)
        return [1.0, *map(float, step_and_epoch(folder))] if folder else [0.0, 0.0, 0.0]

    def check(self, folder: epath.Path) -> None:
        """Raises CheckpointsDamaged unless the checkpoint in `folder` verifies."""
        check(folder)

    def _write(self, arrays: dict[str, np.ndarray], progress: dict) -> None:
        folder, began = path(self._folder, progress["step"], progress["epoch"]), time.perf_counter()
        try:
            if not (folder / MANIFEST).exists():
                write(folder, arrays, progress)
                self._durations.append((progress["step"], time.perf_counter() - began))
            self._remove_old(progress.get("best"))
        except (OSError, tf.errors.OpError) as error:
            self._error = error

    def _remove_old(self, best: dict | None) -> None:
        whole_ones = complete(self._folder)
        kept = set(whole_ones[-self._keep :])
        if best:
            kept.add(path(self._folder, best["step"], best["epoch"]))
        for folder in _folders(self._folder):
            if folder not in kept:
                _remove(folder)


class NoSaver:
    """Stands for `Saver` on workers that write nothing."""

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


def path(root: epath.Path, step: int, epoch: int) -> epath.Path:
    """Returns where the checkpoint after `step` steps and `epoch` evaluated epochs is."""
    return root / f"step-{step:09d}-epoch-{epoch:06d}"


def step_and_epoch(folder: epath.Path) -> tuple[int, int]:
    """Returns what `path` made the folder's name of."""
    _, step, _, epoch = folder.name.split("-")
    return int(step), int(epoch)


def write(folder: epath.Path, arrays: dict[str, np.ndarray], progress: dict) -> None:
    """Writes one checkpoint, the manifest last."""
    if folder.exists():
        _remove(folder)
    gcs.make_folder(folder)
    names = sorted(arrays)
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=str(folder / VARIABLES),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(arrays[name]) for name in names],
        )
    atomic.write_json(folder / PROGRESS, progress)
    written = [file for file in sorted(folder.iterdir()) if FILES.fullmatch(file.name)]
    files = {file.name: _fingerprint(file) for file in written}
    atomic.write_json(folder / MANIFEST, {"files": files})


def restore(
    folder: epath.Path, variables: dict[str, tf.Variable], arrays: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Reads `variables` back in place; returns the progress, and the `arrays` by name.

    Raises:
      UsageError: if the checkpoint holds other variables, or of another shape.
    """
    saved = read(folder)
    there = {name: array.shape for name, array in saved.items()}
    here = {name: tuple(variable.shape) for name, variable in variables.items()}
    differing = [
        f"{name} is {_shape(there, name)} there and {_shape(here, name)} here"
        for name in sorted(there.keys() | here.keys())
        if name not in arrays
        and not name.startswith(OPTIONAL)
        and there.get(name) != here.get(name)
    ]
    if differing:
        more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
        raise UsageError(
            f"{folder} does not fit this network: {'; '.join(differing[:3])}{more}. Give the "
            "config that it was trained with, or name another --workdir."
        )
    for name, variable in variables.items():
        if name in saved:
            variable.assign(saved[name])
    progress = json.loads((folder / PROGRESS).read_text())
    return progress, {name: saved[name] for name in arrays}


def read(folder: epath.Path) -> dict[str, np.ndarray]:
    """Returns every variable and array of a checkpoint, by name."""
    reader = tf.train.load_checkpoint(str(folder / VARIABLES))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def newest(root: epath.Path) -> epath.Path | None:
    """Returns the newest checkpoint that verifies, or None where there is none at all.

    Damaged ones are reported, and renamed to be kept aside; interrupted ones are removed.

    Raises:
      CheckpointsDamaged: if there are some, but none verifies.
    """
    whole_ones = complete(root)
    for folder in [p for p in _folders(root) if p not in whole_ones]:
        _remove(folder)
    for folder in reversed(whole_ones):
        damage = damage_of(folder)
        if damage is None:
            return folder
        aside = folder.rename(root / f"{DAMAGED}{folder.name}")
        print(f"warning: {folder} is damaged ({damage}): kept as {aside.name}", file=sys.stderr)
    if _named(root, re.compile(DAMAGED + NAME.pattern)):
        raise CheckpointsDamaged(
            f"{root} holds damaged checkpoints and no whole one: bring one back from a backup, or "
            "name another --workdir to begin anew."
        )
    return None


def check(folder: epath.Path) -> None:
    """Raises CheckpointsDamaged unless the checkpoint is as it was written."""
    if damage := damage_of(folder):
        raise CheckpointsDamaged(
            f"the best checkpoint, {folder}, is damaged ({damage}): bring it back from a backup, "
            "or name another --workdir to begin anew."
        )


def complete(root: epath.Path) -> list[epath.Path]:
    """Returns the checkpoints under `root` that were written to the end, the oldest first."""
    return sorted(p for p in _folders(root) if (p / MANIFEST).exists())


def damage_of(folder: epath.Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        expected = {name: (f["bytes"], f["sha256"]) for name, f in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{MANIFEST} cannot be read"
    except OSError as error:
        return f"{MANIFEST}: {_reason(error)}"
    for name, (size, checksum) in expected.items():
        try:
            found = _fingerprint(folder / name)
        except OSError as error:
            return f"{name}: {_reason(error)}"
        if found["bytes"] != size:
            return f"{name} has {found['bytes']} bytes, not {size}"
        if found["sha256"] != checksum:
            return f"{name} is not what was written"
    return None


def _folders(root: epath.Path) -> list[epath.Path]:
    return _named(root, NAME)


def _named(root: epath.Path, name: re.Pattern[str]) -> list[epath.Path]:
    return [p for p in root.iterdir() if name.fullmatch(p.name)] if root.exists() else []


def _remove(folder: epath.Path) -> None:
    """Removes a checkpoint's files, and its folder unless the user has put another file there."""
    (folder / MANIFEST).unlink(missing_ok=True)  # first: half of one is never whole
    for path in folder.iterdir():
        if FILES.fullmatch(path.name):
            path.rmtree() if path.is_dir() else path.unlink(missing_ok=True)
    gcs.remove_if_empty(folder)


def _fingerprint(file: epath.Path) -> dict:
    content = file.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _shape(shapes: dict[str, tuple], name: str) -> str:
    return f"of shape {list(shapes[name])}" if name in shapes else "missing"


def _reason(error: OSError | tf.errors.OpError) -> str:
    known = errors.cannot_write(error) or getattr(error, "strerror", None)
    return known or gcs.reason(error) or str(error).splitlines()[0]
