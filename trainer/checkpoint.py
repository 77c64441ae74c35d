"""Checkpoints: saved whole, the newest and the best kept, restored only whole.

A checkpoint is a folder with TensorFlow's own checkpoint files and a manifest that is written
last: a folder without one was interrupted, and is no checkpoint.
"""

import json
from typing import Any

import tensorflow as tf
from etils import epath

from trainer import whole
from trainer.entry import Refusal

MANIFEST = "manifest.json"


def save(folder: epath.Path, variables: dict[str, tf.Variable], progress: dict[str, Any]) -> None:
    """Writes `variables` and what the host knows of the run into `folder`, the manifest last."""
    if folder.exists():
        folder.rmtree()
    folder.mkdir(parents=True)
    tf.train.Checkpoint(variables=variables).write(str(folder / "variables"))
    whole.write_json(folder / MANIFEST, progress)


def restore(folder: epath.Path, variables: dict[str, tf.Variable]) -> dict[str, Any]:
    """Reads `variables` back in place and returns what was saved as `progress`.

    Raises:
      Refusal: if the checkpoint holds other variables, or of another shape.
    """
    prefix = str(folder / "variables")
    saved = {
        name.removeprefix("variables/")
        .removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
        .replace(".S", "/"): shape
        for name, shape in tf.train.list_variables(prefix)
        if name.startswith("variables/")
    }
    for name, variable in variables.items():
        if name not in saved or tuple(saved[name]) != tuple(variable.shape):
            found = f"of shape {saved[name]}" if name in saved else "missing"
            raise Refusal(
                f"{folder} does not fit this network: {name} is {found}, not of shape "
                f"{variable.shape.as_list()}. Give the config that it was trained with."
            )
    checkpoint = tf.train.Checkpoint(variables=variables)
    checkpoint.read(prefix).assert_existing_objects_matched()
    return json.loads((folder / MANIFEST).read_text())


def newest(folder: epath.Path) -> epath.Path | None:
    """Returns the newest whole checkpoint under `folder`, or None."""
    return next(reversed(complete(folder)), None)


def complete(folder: epath.Path) -> list[epath.Path]:
    """Returns the whole checkpoints under `folder`, the oldest first."""
    if not folder.exists():
        return []
    return sorted(path for path in folder.iterdir() if (path / MANIFEST).exists())


def save_newest(
    folder: epath.Path, variables: dict[str, tf.Variable], progress: dict[str, Any], keep: int
) -> None:
    """Saves under `folder` by step, and removes all but the `keep` newest."""
    save(folder / f"step-{progress['step']:09d}", variables, progress)
    for path in complete(folder)[:-keep]:
        (path / MANIFEST).unlink()  # first, so that half a checkpoint never looks whole
        path.rmtree()
