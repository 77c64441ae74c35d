"""Compiles each recipe's training step with the TPU compiler, on a machine without a TPU.

python scripts/tpu_check.py --configs=configs/article.py,configs/resnet.py --out=table.md

Prints a table: what a step of one replica costs by the compiler's cost model, how much memory of
the TPU it takes, the largest batch for which it compiles, and how much of it is augmentation.
At first use it installs jax and libtpu (requirements/tpu_check.txt, 1.1 GB, Python 3.11 or later)
into .venv-tpu-check. A recipe takes some minutes for each topology.

This environment lowers the step to StableHLO, the other compiles it. What that does not show:
  - speed: the times are what the published peaks allow, which no program reaches;
  - the all-reduce, since one replica has nobody to sum with;
  - anything of the host: input, the loop, the connection to the TPU;
  - an operation that a TPU lacks and XLA on a CPU has, since TensorFlow lowers for the latter.
"""

import json
import math
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from trainer.commands import program
from trainer.commands.command import Command
from trainer.config import schema
from trainer.system.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".venv-tpu-check"
REQUIREMENTS = ROOT / "requirements" / "tpu_check.txt"
PYTHON = ENVIRONMENT / "bin" / "python"
TOO_LARGE = 2**18
IMAGES = 4_638  # on the device, of which a batch is looked up; their number is of no matter

_CONFIGS = flags.DEFINE_list(
    "configs",
    [str(ROOT / "configs" / f"{name}.py") for name in ("article", "resnet", "demo")],
    "recipes to compile",
)
_TOPOLOGIES = flags.DEFINE_list(
    "topologies", ["v5e:2x2", "v4:2x2x1", "v6e:2x2"], "TPUs to compile for, as libtpu names them"
)
_LARGEST_BATCH = flags.DEFINE_bool(
    "largest_batch", True, "look for the largest batch, which takes most of the time"
)
_OUT = flags.DEFINE_string("out", "", "file to write the table to as well")


class Device(NamedTuple):
    """What Google publishes of one replica's device: https://docs.cloud.google.com/tpu/docs/v5e.

    Attributes:
      flops: bfloat16 operations a second.
      bandwidth: of the memory, bytes a second.
    """

    flops: float
    bandwidth: float

    def milliseconds(self, cost: dict[str, float]) -> float:
        """Returns the roofline: no program of that many operations and bytes takes less."""
        return 1e3 * max(cost["flops"] / self.flops, cost["bytes"] / self.bandwidth)


# A chip; of v4 one of a chip's two cores, each a device of its own with half of everything.
DEVICES = {
    "v4": Device(137.5e12, 0.6e12),
    "v5e": Device(197e12, 0.819e12),
    "v6e": Device(918e12, 1.638e12),
}
NOTES = """\
One replica on one device (v4: one of a chip's two cores) at the recipe's whole batch. FLOP and
bytes are by the compiler's cost model, whose own time is void; "least ms" is what the published
peaks allow of them, "augmentation" its share. There was no TPU: this shows no speed, no
all-reduce and no host.
"""
HEADER = (
    *("recipe", "TPU", "batch", "GFLOP", "GB accessed", "HBM, MiB", "largest batch"),
    *("least ms", "augmentation", "gathers (largest)"),
)


def main(argv: Sequence[str]) -> None:
    """Compiles every recipe for every topology and prints the table."""
    unknown = [name for name in _TOPOLOGIES.value if name.split(":")[0] not in DEVICES]
    if unknown:
        raise UsageError(f"--topologies={unknown[0]} is unknown: name one of {', '.join(DEVICES)}.")
    configs = {Path(path).stem: read(path) for path in _CONFIGS.value}
    make_environment()
    lines = [row(HEADER), row("---" for _ in HEADER)]
    with tempfile.TemporaryDirectory(prefix="tpu-check-") as folder:
        for name, config in configs.items():
            programs = Programs(name, config, Path(folder))
            for topology in _TOPOLOGIES.value:
                lines.append(row(measure(programs, topology)))
                say(lines[-1])
    table = "\n".join((*lines, "", NOTES))
    print(table, end="")
    if _OUT.value:
        Path(_OUT.value).write_text(table)


def read(path: str) -> Any:
    """Returns the config of a recipe's file, checked."""
    if not Path(path).is_file():
        raise UsageError(
            f"--configs={path} does not exist: name recipes such as configs/resnet.py."
        )
    config = runpy.run_path(path)["get_config"]()
    schema.check(config)
    return config


def make_environment() -> None:
    """Makes the environment of the TPU compiler, unless it is there and up to date."""
    stamp, wanted = ENVIRONMENT / "stamp", REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {REQUIREMENTS.name} into {ENVIRONMENT.name}, 1.1 GB")
    pip = (PYTHON, "-m", "pip", "--disable-pip-version-check")
    for command in (
        (sys.executable, "-m", "venv", "--clear", ENVIRONMENT),
        (*pip, "install", "--quiet", "--requirement", REQUIREMENTS),
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            says = (done.stderr or done.stdout).strip().splitlines() or [""]
            raise UsageError(f"{ENVIRONMENT.name} cannot be made, pip says: {says[-1]}")
    stamp.write_text(wanted)


class Programs:
    """The programs of one recipe as StableHLO files, by what they do and their batch."""

    def __init__(self, name: str, config: Any, folder: Path):
        self.name, self.config = name, config
        self._folder = folder / name
        self._folder.mkdir()

    def step(self, batch: int) -> Path:
        """Returns the file of the training step of one replica."""
        return self._file(f"step_{batch}", lower_step, batch)

    def augmentation(self, batch: int) -> Path:
        """Returns the file of the step's augmentation alone."""
        return self._file(f"augmentation_{batch}", lower_augmentation, batch)

    def look_up(self, batch: int) -> Path:
        """Returns the file of the look-up of a batch that `data.cache=device` adds to the step."""
        return self._file(f"look_up_{batch}", lower_look_up, batch)

    def _file(self, name: str, lower: Callable[[Any], bytes], batch: int) -> Path:
        path = self._folder / name
        if not path.exists():
            config = self.config.copy_and_resolve_references()
            config.train.batch_size = batch
            path.write_bytes(lower(config))
        return path


def lower_step(config: Any) -> bytes:
    """Returns the training step of one replica that takes the whole batch, as StableHLO."""
    import tensorflow as tf

    from trainer.training import state, step

    built = state.create_state(config, total_steps=1000, epoch_steps=100)
    replica_step = step.ReplicaStep(built, config, on_tpu=True)

    def step_of_columns(*columns: tf.Tensor) -> tf.Tensor:
        names = ("image", "label", "row", "weight")
        columns_by_name = dict(zip(names, columns, strict=True))
        if config.train.accumulate == 1:
            return replica_step(columns_by_name)
        for part in range(config.train.accumulate):
            replica_step.add_part(columns_by_name, tf.constant(part))
        return replica_step.update()

    batch, size = config.train.batch_size, config.data.image_size
    return stablehlo(
        step_of_columns,
        tf.TensorSpec((batch, size, size, 1), tf.uint8),
        tf.TensorSpec((batch, 1), tf.float32),
        tf.TensorSpec((batch,), tf.int32),
        tf.TensorSpec((batch,), tf.float32),
    )


def lower_augmentation(config: Any) -> bytes:
    """Returns the augmentation of a batch, as StableHLO."""
    import tensorflow as tf

    from trainer import random_numbers
    from trainer.augment import augmentation as augment

    batch, size = config.train.batch_size, config.data.image_size
    augmentation = augment.build(config.augment, jit_compile=False, matrix_product=True)

    def augmented(images: tf.Tensor, step: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return augmentation(images, random_numbers.key(config.seed, step), rows, global_batch=batch)

    return stablehlo(
        augmented,
        tf.TensorSpec((batch, size, size, 1), tf.float32),
        tf.TensorSpec((), tf.int64),
        tf.TensorSpec((batch,), tf.int32),
    )


def lower_look_up(config: Any) -> bytes:
    """Returns the look-up of a batch among images on the device, as StableHLO."""
    import numpy as np
    import tensorflow as tf

    from trainer.data import device_cache, pipeline

    size = config.data.image_size
    images = pipeline.aligned((IMAGES, size, size, 1), np.uint8)
    labels = pipeline.aligned((IMAGES, 1), np.float32)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    pixels = device_cache.DevicePixels(images, labels, strategy)
    batch = config.train.batch_size
    batches = device_cache.train_batches(pixels, batch, seed=0, epochs=config.train.epochs)
    return stablehlo(lambda rows: batches.look_up({"row": rows}), tf.TensorSpec((batch,), tf.int32))


def stablehlo(function: Callable, *specs: Any) -> bytes:
    """Returns a function of tensors as serialised StableHLO."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # else it is lowered for the GPU
    compiled = tf.function(function, jit_compile=True, autograph=False)
    return compiled.experimental_get_compiler_ir(*specs)(stage="stablehlo_serialized")


def measure(programs: Programs, topology: str) -> tuple[str, ...]:
    """Returns the table's row of one recipe on one topology."""
    name, batch = programs.name, programs.config.train.batch_size
    generation = topology.split(":")[0]
    device = DEVICES[generation]
    say(f"{name} for {topology}")
    step = compiled(programs.step(batch), topology)
    if "out_of_memory" in step:
        return (name, generation, str(batch), *["-"] * 3, "does not fit", *["-"] * 3)
    augmentation = compiled(programs.augmentation(batch), topology)
    rest = {key: max(step[key] - augmentation[key], 0) for key in ("flops", "bytes")}
    # One after the other, as the network waits for its images.
    before, after = device.milliseconds(augmentation), device.milliseconds(rest)
    return (
        *(name, generation, str(batch)),
        *(f"{step['flops'] / 1e9:.1f}", f"{step['bytes'] / 1e9:.2f}"),
        f"{step['hbm'] / 2**20:.0f}",
        f"{largest_batch(programs, topology)}" if _LARGEST_BATCH.value else "-",
        *(f"{before + after:.2f}", f"{before / (before + after):.0%}"),
        f"{step['gathers']} ({step['largest_gather']:,})",
    )


def largest_batch(programs: Programs, topology: str) -> int:
    """Returns the largest power of two that compiles, and of which the double does not.

    Memory grows with the batch, so that what the compiler says of one that is far too large tells
    where to look; that takes seconds, a program that fits a minute.
    """
    batch = TOO_LARGE
    while not (refusal := refused_for(programs, batch, topology)):
        batch *= 2
    needed, available = (
        float(size) * 1024 ** "MGT".index(unit)
        for size, unit in re.findall(r"([\d.]+)([MGT])\b", refusal)[:2]
    )
    batch = guess = 2 ** int(math.log2(batch * available / needed))
    while batch and refused_for(programs, batch, topology):
        batch //= 2
    if batch == guess:
        while not refused_for(programs, batch * 2, topology):
            batch *= 2
    return batch


def refused_for(programs: Programs, batch: int, topology: str) -> str:
    """Returns why the step does not compile for a batch; nothing if it does."""
    found = compiled(programs.step(batch), topology)
    say(f"  batch {batch} {'does not fit' if 'out_of_memory' in found else 'compiles'}")
    return found.get("out_of_memory", "")


def compiled(program: Path, topology: str) -> dict[str, Any]:
    """Returns what scripts/tpu_compile.py says of a program."""
    command = (PYTHON, ROOT / "scripts" / "tpu_compile.py", program, topology)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        says = done.stderr.strip().splitlines() or [""]
        raise UsageError(f"{program.name} does not compile for {topology}: {says[-1][:500]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(cells: Iterable[str]) -> str:
    """Returns one line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def say(what: str) -> None:
    """Tells on standard error what is being done, since a compilation takes its time."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
