"""Computes what each recipe's training step can reach at most on accelerators of several kinds.

python scripts/roofline.py --configs=configs/article.py,configs/resnet.py --out=table.md

Prints a table: the operations and bytes of the step that XLA's TPU compiler makes of the recipe,
the time that a device's published peak and bandwidth allow, the images/s that it then needs, which
caches feed it on a host of 16 cores, the bytes that replicas exchange, and the efficiency at 8, 64
and 256 replicas over published links. All of it is computed; no accelerator is needed, and none was
asked. A CPU has no row: its caches spare it most of the bytes that the TPU compiler counts.

  - They compute in bfloat16 with float32 weights.
  - The step is that of one replica at the recipe's batch, which each replica of several has.
  - Augmentation is counted for the TPU, whose program has it as matrix products; elsewhere it is a
    gather, which the TPU compiler cannot tell of.
  - data.cache=device feeds what the memory allows of the bytes that the TPU compiler counts for the
    look-up of a batch; the images have to fit there.
  - Replicas exchange float32 gradients after the step, in rings: within a machine of 8 devices,
    then each its eighth between the machines. Exchange during the backward pass would hide some.

At first use it installs the TPU compiler, see scripts/tpu_check.py.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tpu_check
from absl import flags
from tpu_check import row, say

from trainer.commands import program
from trainer.commands.command import Command

TOPOLOGY = "v5e:2x2"
REPLICAS = (8, 64, 256)
DEVICES_A_MACHINE = 8
CORES = 16
# Images/s of each cache on the host at 180x180 on two cores, measured there or computed from their
# processor time, see docs/performance.md; they grow with the cores and shrink with the pixels.
FED = {"disk": 23_400, "host": 23_400, "none": 3_100}
FED_SIDE, FED_CORES = 180, 2
MOST = {"none": 14_000}  # of one process, whatever its cores: what Python does an image


class Device(NamedTuple):
    """What a maker publishes of a device.

    Attributes:
      flops: operations a second in the precision of the step, dense.
      bandwidth: of its memory, bytes a second.
      link: bytes a second to the other devices of its machine, in one direction.
      network: its share of the bytes a second between machines.
    """

    flops: float
    bandwidth: float
    link: float
    network: float


# NVIDIA's data sheets of H100 SXM, A100 80GB SXM and L4; machines are Google's a3-megagpu-8g
# (1,600 Gbit/s), a2-ultragpu-8g (100) and g2-standard-96 (100). A v5e's pod of up to 256 chips is a
# torus of links of 1,600 Gbit/s a chip.
DEVICES = {
    "H100": Device(989e12, 3.35e12, 450e9, 25e9),
    "A100": Device(312e12, 2.039e12, 300e9, 1.56e9),
    "L4": Device(121e12, 0.3e12, 32e9, 1.56e9),
    "v5e": Device(197e12, 0.819e12, 200e9, 200e9),
}
HEADER = (
    *("recipe", "device", "GFLOP", "GB", "ms at peak", "ms at bandwidth", "images/s"),
    *("fed by", "MB exchanged", *(f"x{count}" for count in REPLICAS)),
)


class Step(NamedTuple):
    """A recipe's step.

    Attributes:
      batch: images of a replica.
      flops: operations.
      bytes: moved to and from the device's memory.
      side: of its images, pixels.
      weights: number of trained values.
      look_up: bytes moved for the look-up of a batch among images on the device.
    """

    batch: int
    flops: float
    bytes: float
    side: int
    weights: int
    look_up: float


def main(argv: Sequence[str]) -> None:
    """Prints the table."""
    tpu_check.make_environment()  # whose flags these are, too
    lines = [row(HEADER), row("---" for _ in HEADER)]
    with tempfile.TemporaryDirectory(prefix="roofline-") as folder:
        for path in flags.FLAGS.configs:
            for name, device, step in steps(path, Path(folder)):
                lines.append(row(cells(Path(path).stem, name, device, step)))
                say(lines[-1])
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if flags.FLAGS.out:
        Path(flags.FLAGS.out).write_text(table)


def steps(path: str, folder: Path) -> list[tuple[str, Device, Step]]:
    """Returns each device with what it has to do for a recipe."""
    config = tpu_check.read(path)
    config.precision = "mixed_bfloat16"
    programs = tpu_check.Programs(Path(path).stem, config, folder)
    batch, side, count = config.train.batch_size, config.data.image_size, weights(config)
    whole = tpu_check.compiled(programs.step(batch), TOPOLOGY)
    augmentation = tpu_check.compiled(programs.augmentation(batch), TOPOLOGY)
    look_up = tpu_check.compiled(programs.look_up(batch), TOPOLOGY)["bytes"]
    rest = {key: max(whole[key] - augmentation[key], 0) for key in ("flops", "bytes")}
    found = []
    for name, device in DEVICES.items():
        cost = whole if name == "v5e" else rest
        step = Step(batch, cost["flops"], cost["bytes"], side, count, look_up)
        found.append((name, device, step))
    return found


def weights(config: Any) -> int:
    """Returns the number of trained values of a recipe's network."""
    from trainer import models

    network = models.build(config.model, config.data.image_size, 1)
    return sum(math.prod(weight.shape) for weight in network.trainable_variables)


def cells(recipe: str, name: str, device: Device, step: Step) -> tuple[str, ...]:
    """Returns the table's row of a recipe on a device."""
    at_peak, at_bandwidth = step.flops / device.flops, step.bytes / device.bandwidth
    seconds = max(at_peak, at_bandwidth)
    needed = step.batch / seconds
    scale = (FED_SIDE / step.side) ** 2 * CORES / FED_CORES
    rates = {"device": step.batch * device.bandwidth / step.look_up}
    rates |= {cache: min(rate * scale, MOST.get(cache, math.inf)) for cache, rate in FED.items()}
    feeding = [cache for cache, rate in rates.items() if rate >= needed]
    exchanged = 4 * step.weights
    return (
        *(recipe, name, f"{step.flops / 1e9:.1f}", f"{step.bytes / 1e9:.2f}"),
        *(f"{1e3 * at_peak:.2f}", f"{1e3 * at_bandwidth:.2f}", f"{needed:,.0f}"),
        ", ".join(feeding) or "-",
        f"{exchanged / 1e6:.1f}",
        *(efficiency(device, seconds, exchanged, count) for count in REPLICAS),
    )


def efficiency(device: Device, seconds: float, exchanged: int, replicas: int) -> str:
    """Returns the share of a step's time that is not spent on the exchange of gradients."""
    within = min(replicas, DEVICES_A_MACHINE)
    machines = replicas // within
    exchange = ring(exchanged, within, device.link)
    exchange += ring(exchanged / within, machines, device.network)
    return f"{seconds / (seconds + exchange):.0%}"


def ring(size: float, members: int, rate: float) -> float:
    """Returns the seconds of an all-reduce in a ring (Patarasuk and Yuan 2009)."""
    return 2 * (members - 1) / members * size / rate


if __name__ == "__main__":
    program.run(main, Command("roofline", "computes what a step can reach", __doc__))
