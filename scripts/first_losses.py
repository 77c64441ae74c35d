"""Prints the first losses of every recipe, shrunken, on phantoms: what tests hold constant.

    python scripts/first_losses.py > tests/training/first_losses.json

A change of TensorFlow, of Keras or of a line here that moves them is one of numbers, which the
test shows. Where that is meant, write the file again and say so in the changelog.
"""

import json
import runpy
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.commands import program
from trainer.commands.command import Command
from trainer.network_names import OURS

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SOURCE = "phantom:120"
STEPS = 20
SHRUNKEN: dict[str, Any] = {
    "data.image_size": 48,
    "augment.jit_compile": False,  # which takes longer than these steps
    "model.width": 4,
    "model.stages": 2,
    "train.batch_size": 16,
    "train.epochs": 4,
}


def first_losses(recipe: str, data: str) -> list[float]:
    """Returns the loss of each of the first steps of a recipe on a prepared data set."""
    import tensorflow as tf
    from etils import epath

    from trainer import train
    from trainer.data.prepared_data import open_data
    from trainer.distribute.preemption import StopSignals
    from trainer.distribute.replicas import Replicas
    from trainer.system.watchdog import Watchdog
    from trainer.training import step
    from trainer.training.run import create_run
    from trainer.training.siamese_step import step_class

    config = runpy.run_path(str(CONFIGS / f"{recipe}.py"))["get_config"]()
    config.update_from_flattened_dict(SHRUNKEN | {"data.path": data})
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    run = create_run(
        config,
        epath.Path(),
        epath.Path(),
        data=open_data(data),
        replicas=Replicas(strategy, "one device"),
        signals=StopSignals(),
        watchdog=Watchdog(),
    )
    weights = train.class_weights(config, run.data.splits["train"])
    loop = step.train_loop(
        strategy, run.state, config, class_weights=weights, step_class=step_class(config)
    )
    return loop(run.train_batches(0), STEPS).losses.tolist()


def recipes() -> list[str]:
    """Returns the name of every recipe but those of Keras' networks, which compile for minutes."""
    configs = {
        path.stem: runpy.run_path(str(path))["get_config"]() for path in CONFIGS.glob("*.py")
    }
    return sorted(name for name, config in configs.items() if config.model.name in OURS)


def main(argv: Sequence[str]) -> None:
    """Prints the losses of every recipe as JSON."""
    del argv
    from etils import epath

    from trainer.data import sources
    from trainer.data.prepare import preparation

    with tempfile.TemporaryDirectory() as folder:
        preparation.prepare(sources.open_source(SOURCE), epath.Path(folder), max_side=128)
        losses = {
            name: [float(f"{loss:.6g}") for loss in first_losses(name, folder)]
            for name in recipes()
        }
    print(json.dumps(losses, indent=1))


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
