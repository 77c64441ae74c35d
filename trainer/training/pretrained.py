"""A finished pretraining: which checkpoint holds the weights that others begin with."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from trainer.checkpoint import checkpoint
from trainer.models import siamese
from trainer.system import atomic, json_files
from trainer.training.run_files import PRETRAINED, initial_run


def write(workdir: epath.Path, config: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Writes the file that marks the pretraining as finished.

    Args:
      workdir: of the run.
      config: its group `pretrain`.
      chosen: step, epoch and metrics of the epoch whose weights are the result.
    """
    atomic.write_json(workdir / PRETRAINED, {"method": config["method"], **chosen})


def weights(workdir: epath.Path) -> dict[str, np.ndarray]:
    """Returns the weights of the backbone, by the names that they have in any network of it.

    Raises:
      UsageError: the pretraining is not finished.
      CheckpointsDamaged: its checkpoint is damaged.
    """
    run, file = initial_run(workdir), workdir / PRETRAINED
    content = json_files.read(file)
    with json_files.damage_reported(file):
        folder = checkpoint.path(workdir / "checkpoints", content["step"], content["epoch"])
    checkpoint.check(folder)
    group = "averaged/" if run.settings["train.ema"] else "model/"
    saved = checkpoint.read(folder)
    return of_backbone({n.removeprefix(group): v for n, v in saved.items() if n.startswith(group)})


def of_backbone(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the weights, by name, without those that a pretraining has beside its backbone."""
    return {name: value for name, value in weights.items() if not name.startswith(siamese.ADDED)}
