"""Shows that every topology trains alike, and what it costs: scripts/topologies.py [--data=DATA]

Takes the same steps on one device, on several, and on several workers, each on logical CPU devices
of this machine, with everything that could differ switched on. Prints a table against one device:
whether each worker and replica saw the same batches, the greatest difference of any variable and
of any score of the evaluation (whose last batch is short), and the time a step takes for the same
total work on the same cores.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags
from ml_collections import ConfigDict

from trainer.commands import program
from trainer.commands.command import Command
from trainer.config import schema
from trainer.data import data_split, pipeline
from trainer.data.pixel_cache import PixelCache
from trainer.distribute.local_workers import launch
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import connect
from trainer.system import errors
from trainer.system.watchdog import Watchdog
from trainer.training import step
from trainer.training.evaluator import Evaluator
from trainer.training.global_batch import Batch
from trainer.training.run import check_replicas
from trainer.training.state import create_state

_DATA = flags.DEFINE_string("data", "", "prepared data set; without one, phantoms are drawn")
_STEPS = flags.DEFINE_integer("steps", 20, "steps that are compared", lower_bound=1)
_TIMED_STEPS = flags.DEFINE_integer("timed_steps", 40, "further steps that are timed", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "global batch, a multiple of 8", 8)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "side of the images, pixels", 32)
_SMALL = flags.DEFINE_bool("small", False, "a network and augmentation that are soon compiled")
_TOPOLOGY = flags.DEFINE_integer("topology", None, "run as a worker of this one (internal)")
_RESULTS = flags.DEFINE_string("results", "", "where a worker writes (internal)")


class Topology(NamedTuple):
    """Workers and the devices of each; a strategy of its own for each."""

    strategy: str
    workers: int
    devices: int

    def __str__(self) -> str:
        if self.strategy == "multi_worker":
            return f"multi_worker, {self.workers} x {self.devices}"
        return f"{self.strategy}, {self.devices}"


TOPOLOGIES = (
    Topology("one_device", 1, 1),
    Topology("mirrored", 1, 1),
    Topology("mirrored", 1, 2),
    Topology("mirrored", 1, 4),
    Topology("multi_worker", 1, 2),
    Topology("multi_worker", 2, 1),
    Topology("multi_worker", 2, 2),
)


class Measured(NamedTuple):
    """What a topology arrived at.

    Attributes:
      rows: step and row -> checksum of image, label and weight, over all workers.
      variables: by name, one worker's after another's.
      scores: of the validation split.
      seconds_a_step: of the timed steps.
    """

    rows: dict[str, str]
    variables: list[dict[str, np.ndarray]]
    scores: np.ndarray
    seconds_a_step: float


def recipe(data: str, topology: Topology) -> ConfigDict:
    """Returns a network's config with all that might depend on the topology."""
    config = schema.default()
    config.data.path, config.data.image_size = data, _IMAGE_SIZE.value
    if _SMALL.value:
        config.model.width, config.model.stages, config.model.blocks = 4, 1, 1
        config.augment.jit_compile = False
    config.augment.rotation_range = 10.0
    config.augment.zoom_range = 0.2
    config.augment.horizontal_flip = True
    config.augment.noise_range = 0.05
    config.model.dropout = 0.2
    config.train.batch_size = _BATCH_SIZE.value
    config.train.accumulate = 2
    config.train.ema = 0.9
    # Adam turns gradients of rounding size into whole steps, and at ten times this rate training
    # itself makes 1e-4 of rounding in 20 steps.
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.001
    config.optimizer.clip_norm = 1.0
    config.loss.class_weights = "balanced"
    config.distribute.strategy = topology.strategy
    config.distribute.cpu_devices = topology.devices
    return config


def measure(config: ConfigDict, steps: int, timed_steps: int, results: Path) -> None:
    """Trains as one worker and writes what it arrived at to `results`."""
    replicas = connect(config.distribute, partial(check_replicas, config))
    strategy = replicas.strategy
    splits = {
        name: data_split.open_split(config.data.path, name) for name in ("train", "validation")
    }
    cache = PixelCache(splits, config.data, processes=replicas.workers_here)
    pixels = cache.pixels("train")
    assert isinstance(pixels, pipeline.Pixels)  # on the host

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        train = config.train
        epochs = pipeline.steps((steps + 2 * timed_steps) * train.batch_size, pixels.size)
        return pipeline.train_batches(
            pixels,
            train.batch_size,
            seed=config.seed,
            epochs=epochs,
            context=context,
            parts=train.accumulate,
        ).repeat()

    distributed = strategy.distribute_datasets_from_function(batches)
    rows = dict(_checksums(strategy, iter(distributed), steps))
    with strategy.scope():
        state = create_state(config, steps + 2 * timed_steps, steps)
    class_weights = np.array([[1.3], [0.8]], np.float32)
    loop = step.train_loop(strategy, state, config, class_weights=class_weights)
    iterator = iter(distributed)
    loop(iterator, steps)
    variables = {name: variable.numpy() for name, variable in state.variables().items()}
    with StopSignals() as signals:
        evaluator = Evaluator(
            replicas,
            state.averaged,
            config=config,
            signals=signals,
            watchdog=Watchdog(),
        )
        scores = evaluator.scores(splits["validation"], cache.pixels("validation")).columns()
    loop(iterator, timed_steps)
    seconds = loop(iterator, timed_steps).seconds
    np.savez(results / f"variables{replicas.worker}.npz", **variables)
    (results / f"worker{replicas.worker}.json").write_text(
        json.dumps({"rows": rows, "scores": scores.tolist(), "seconds": seconds / timed_steps})
    )
    replicas.barrier()  # nobody leaves before the others are done


def run(topology: Topology, command: Sequence[str], results: Path) -> Measured:
    """Runs `command` as each worker of a topology and gathers what they wrote."""
    results.mkdir()
    number = TOPOLOGIES.index(topology)
    command = [*command, f"--topology={number}", f"--results={results}"]
    workers, devices = topology.workers, topology.devices
    if code := launch(command, workers=workers, devices=devices, max_restarts=0):
        raise errors.UsageError(f"{topology} ended with exit code {code}: see above.")
    rows: dict[str, str] = {}
    variables = []
    for worker in range(topology.workers):
        wrote = json.loads((results / f"worker{worker}.json").read_text())
        rows |= wrote["rows"]
        with np.load(results / f"variables{worker}.npz") as saved:
            variables.append(dict(saved))
    return Measured(rows, variables, np.array(wrote["scores"]), wrote["seconds"])


def largest_difference(measured: Measured, one: Measured, weights_only: bool) -> float:
    """Returns the greatest difference of any variable on any worker, or of any trained weight.

    Of a value larger than 1, as variances may be, as a share of it.
    """
    return max(
        float(np.max(np.abs(worker[name].astype(np.float64) - value) / np.maximum(1, abs(value))))
        for worker in measured.variables
        for name, value in one.variables[0].items()
        if not weights_only or (name.startswith("model/") and "/moving_" not in name)
    )


def table(measured: dict[Topology, Measured], batch_size: int) -> str:
    """Returns the comparison as a Markdown table."""
    one = measured[TOPOLOGIES[0]]
    lines = [
        "| strategy, workers x devices | batches | largest difference of a weight |"
        " of any variable | of a score | images/s | time a step |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for topology, result in measured.items():
        same = "equal" if result.rows == one.rows else "DIFFERENT"
        scores = float(np.abs(result.scores - one.scores).max())
        over = result.seconds_a_step / one.seconds_a_step
        milliseconds = 1000 * result.seconds_a_step
        cells = (
            *(str(topology), same),
            f"{largest_difference(result, one, True):.1e}",
            f"{largest_difference(result, one, False):.1e}",
            f"{scores:.1e}",
            f"{batch_size / result.seconds_a_step:.0f}",
            f"{milliseconds:.0f} ms, {over:.2f} x one device",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _checksums(
    strategy: tf.distribute.Strategy, batches: Iterator[Batch], steps: int
) -> Iterator[tuple[str, str]]:
    for number in range(steps):
        batch = next(batches)
        columns = {
            name: np.concatenate(
                [part.numpy() for part in strategy.experimental_local_results(column)]
            )
            for name, column in batch.items()
        }
        for i, row in enumerate(columns["row"]):
            content = b"".join(columns[name][i].tobytes() for name in ("image", "label", "weight"))
            yield f"{number}/{row}", hashlib.sha256(content).hexdigest()


def main(argv: Sequence[str]) -> None:
    """Runs all topologies, or as a worker of one of them."""
    del argv
    if _TOPOLOGY.value is not None:
        topology = TOPOLOGIES[_TOPOLOGY.value]
        config = recipe(_DATA.value, topology)
        measure(config, _STEPS.value, _TIMED_STEPS.value, Path(_RESULTS.value))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = _DATA.value
        if not data:
            data = f"{folder}/data"
            prepare = [
                sys.executable,
                "-m",
                "trainer",
                "prepare",
                "--noaudit",
                "--source=phantom:200",
            ]
            subprocess.run([*prepare, f"--out={data}"], check=True, stdout=sys.stderr)
        command = [sys.executable, __file__, f"--data={data}"]
        for flag in (_STEPS, _TIMED_STEPS, _BATCH_SIZE, _IMAGE_SIZE, _SMALL):
            command.append(f"--{flag.name}={flag.value}")
        measured = {}
        for number, topology in enumerate(TOPOLOGIES):
            print(f"{topology} ...", file=sys.stderr, flush=True)
            measured[topology] = run(topology, command, Path(folder) / str(number))
    print(table(measured, _BATCH_SIZE.value))


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
