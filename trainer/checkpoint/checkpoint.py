"""A checkpoint on disk: written, verified, restored, found and removed.

It is a folder with the variables as TensorFlow writes them (`tf.train.load_checkpoint` reads them
by name), the progress of the run, and a manifest with the size and the checksum of each file. The
manifest is written last: a folder without one was interrupted, and is not a checkpoint.
"""

import hashlib
import json
import re
import sys
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.system import atomic, errors, gcs, json_files
from trainer.system.errors import CheckpointsDamaged, UsageError

MANIFEST = "manifest.json"
PROGRESS = "progress.json"
VARIABLES = "variables"
DAMAGED = "damaged-"

# Files and folders with other names are the user's, and are left alone.
NAME = re.compile(r"step-\d{9,}-epoch-\d{6,}")
FILES = re.compile(r"variables\..*|(progress|manifest)\.json")

# Checkpoints of another precision may have or lack them: they start anew then.
OPTIONAL = "loss_scale/"


def path(root: epath.Path, step: int, epoch: int) -> epath.Path:
    """Returns the folder of the checkpoint after `step` steps and `epoch` finished epochs."""
    return root / f"step-{step:09d}-epoch-{epoch:06d}"


def step_and_epoch(folder: epath.Path) -> tuple[int, int]:
    """Returns the step and the epoch in the name of a checkpoint's folder."""
    _, step, _, epoch = folder.name.split("-")
    return int(step), int(epoch)


def write(folder: epath.Path, arrays: dict[str, np.ndarray], progress: dict) -> None:
    """Writes one checkpoint, the manifest last."""
    if folder.exists():
        remove(folder)
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
    saved_shapes = {name: array.shape for name, array in saved.items()}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    differing = [
        f"{name} is {_shape(saved_shapes, name)} there and {_shape(shapes, name)} here"
        for name in sorted(saved_shapes.keys() | shapes.keys())
        if name not in arrays
        and not name.startswith(OPTIONAL)
        and saved_shapes.get(name) != shapes.get(name)
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
    return read_progress(folder), {name: saved[name] for name in arrays}


def read(folder: epath.Path) -> dict[str, np.ndarray]:
    """Returns every variable and array of a checkpoint, by name."""
    reader = tf.train.load_checkpoint(str(folder / VARIABLES))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def read_progress(folder: epath.Path) -> dict[str, Any]:
    """Returns the progress of the run that a checkpoint was written with."""
    return json.loads((folder / PROGRESS).read_text())


def newest(root: epath.Path) -> epath.Path | None:
    """Returns the newest checkpoint that verifies, or None where there are no checkpoints.

    Damaged ones are reported and renamed; interrupted ones are removed.

    Raises:
      CheckpointsDamaged: if there are some, but none verifies.
    """
    written = complete(root)
    for folder in [p for p in folders(root) if p not in written]:
        remove(folder)
    for folder in reversed(written):
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
            f"the checkpoint {folder}, whose weights the run kept, is damaged ({damage}): bring it "
            "back from a backup, or name another --workdir to begin anew."
        )


def complete(root: epath.Path) -> list[epath.Path]:
    """Returns the completely written checkpoints under `root`, the oldest first."""
    return sorted(p for p in folders(root) if (p / MANIFEST).exists())


def damage_of(folder: epath.Path) -> str | None:
    """Returns what is wrong with the files of a checkpoint, or None."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
        expected = {name: (f["bytes"], f["sha256"]) for name, f in files.items()}
    except json_files.DAMAGE:
        return f"{MANIFEST} cannot be read"
    except OSError as error:
        return f"{MANIFEST}: {reason(error)}"
    for name, (size, checksum) in expected.items():
        try:
            found = _fingerprint(folder / name)
        except OSError as error:
            return f"{name}: {reason(error)}"
        if found["bytes"] != size:
            return f"{name} has {found['bytes']} bytes, not {size}"
        if found["sha256"] != checksum:
            return f"{name} is not what was written"
    return None


def folders(root: epath.Path) -> list[epath.Path]:
    """Returns the folders of all checkpoints under `root`, interrupted ones too."""
    return _named(root, NAME)


def _named(root: epath.Path, name: re.Pattern[str]) -> list[epath.Path]:
    return [p for p in root.iterdir() if name.fullmatch(p.name)] if root.exists() else []


def remove(folder: epath.Path) -> None:
    """Removes a checkpoint's files, and its folder unless the user has put another file there."""
    (folder / MANIFEST).unlink(missing_ok=True)  # first: what is left is not a checkpoint
    for file in folder.iterdir():
        if FILES.fullmatch(file.name):
            file.unlink(missing_ok=True)
    gcs.remove_if_empty(folder)


def _fingerprint(file: epath.Path) -> dict:
    content = file.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _shape(shapes: dict[str, tuple], name: str) -> str:
    return f"of shape {list(shapes[name])}" if name in shapes else "missing"


def reason(error: OSError | tf.errors.OpError) -> str:
    """Returns in a line why a file could not be read or written."""
    known = errors.file_error(error) or gcs.reason(error)
    return known or (str(error) or repr(error)).splitlines()[0]
