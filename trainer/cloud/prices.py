"""List prices of cloud machines, where they are known."""

import functools
import json
from pathlib import Path
from typing import Any, NamedTuple

from trainer.cloud.machines import Machine

# The only machine whose list price on Vertex AI and on Compute Engine are both known has it:
# n1-standard-4, $0.21849885 against $0.19.
VERTEX_FEE = "Vertex AI's fee (15% on n1-standard-4)"


class Cost(NamedTuple):
    """The cost of machines for an hour.

    Attributes:
      dollars: for all machines, by the list prices on demand.
      machines: how many, and which, as in "2 machines x 2 nvidia-l4 (g2-standard-24)".
      region: where they run; the list prices are those of one region.
      extra: costs that are not included, in words.
      spot: whether they are Spot machines, which cost less.
    """

    dollars: float
    machines: str
    region: str
    extra: str
    spot: bool

    def __str__(self) -> str:
        table = _table()
        elsewhere = "" if self.region == table["region"] else f" (not of {self.region})"
        spot = "; Spot costs less, and its price changes monthly" if self.spot else ""
        return (
            f"${self.dollars:.2f} an hour in all for {self.machines}, by Google's list prices of "
            f"{table['region']}{elsewhere} as read on {table['read']}; {self.extra} come on "
            f"top{spot}"
        )


def per_hour(
    machine: Machine, workers: int, *, platform: str, region: str, spot: bool
) -> Cost | None:
    """Returns the cost of all workers, or None where it is not known.

    Args:
      machine: of each worker.
      workers: how many.
      region: where they run.
      platform: vertex, tpu_vm or kubernetes, the cost of whose nodes is not known.
      spot: whether they are Spot machines.
    """
    each = None if platform == "kubernetes" else _dollars(machine, _table())
    if each is None:
        return None
    fee = f"{VERTEX_FEE}, " if platform == "vertex" else ""
    return Cost(
        workers * each, machine.times(workers), region, f"{fee}disks, storage and network", spot
    )


def _dollars(machine: Machine, table: dict[str, Any]) -> float | None:
    """Returns the cost of one machine for an hour."""
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

    `machines` has whole machines, `per_cpu` the price of a CPU by series, and `accelerators` that
    of one accelerator.
    """
    return json.loads(Path(__file__).with_name("prices.json").read_text())
