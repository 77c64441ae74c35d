"""What a cloud's machines cost by their list prices, where those are known."""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

from trainer.cloud.machines import Machine

# The only machine whose list price on Vertex AI and on Compute Engine are both known has it:
# n1-standard-4, $0.21849885 against $0.19.
VERTEX_FEE = "Vertex AI's fee (15% on n1-standard-4)"


class Cost(NamedTuple):
    """What machines cost for an hour.

    Attributes:
      dollars: for all of them, by the list prices for machines on demand.
      machines: how many.
      on_top: what is not in it, in words.
      spot: whether Spot capacity was asked for, which costs less.
    """

    dollars: float
    machines: int
    on_top: str
    spot: bool

    def __str__(self) -> str:
        table = _table()
        several = f" for {self.machines} machines" if self.machines > 1 else ""
        spot = "; Spot costs less, and its price changes monthly" if self.spot else ""
        return (
            f"${self.dollars:.2f} an hour{several}, by Google's list prices for {table['region']} "
            f"as read on {table['read']}; {self.on_top} come on top{spot}"
        )


def per_hour(machine: Machine, workers: int, platform: str, spot: bool) -> Cost | None:
    """Returns what all workers together cost, or none where that is not known.

    Args:
      machine: of each worker.
      workers: how many.
      platform: vertex, tpu_vm or kubernetes; what a cluster's nodes cost only their owner knows.
      spot: whether Spot capacity is asked for.
    """
    each = None if platform == "kubernetes" else _dollars(machine, _table())
    if each is None:
        return None
    fee = f"{VERTEX_FEE}, " if platform == "vertex" else ""
    return Cost(workers * each, workers, f"{fee}disks, storage and network", spot)


def _dollars(machine: Machine, table: dict[str, Any]) -> float | None:
    """Returns what one machine costs for an hour."""
    accelerators = machine.count * table["accelerators"].get(machine.accelerator, 0)
    if machine.topology:  # of a TPU, whose price has its host in it
        return accelerators
    if machine.type in table["machines"]:  # with the accelerators that are part of them
        return table["machines"][machine.type]
    series, _, cpus = machine.type.rpartition("-")
    if series not in table["per_cpu"]:
        return None
    return int(cpus) * table["per_cpu"][series] + accelerators


@functools.cache
def _table() -> dict[str, Any]:
    """Returns the prices: dollars for an hour.

    `machines` has whole machines, `per_cpu` those of a series by the number of their CPUs, and
    `accelerators` what is added for each of those.
    """
    return json.loads(Path(__file__).with_name("prices.json").read_text())
