"""The workers of a run, as listed in TF_CONFIG, and the strategy over all of them.

Any cluster manager can set TF_CONFIG; Vertex AI does so by itself:
  {"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", "index": 0}}
"""

import faulthandler
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import tensorflow as tf

# The public API has one CPU replica per worker; the tests and a laptop need several.
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

from trainer.distribute import rendezvous
from trainer.system import json_files
from trainer.system.errors import UsageError, WorkerLost

# Pods and machines of one job may start minutes apart.
JOIN_SECONDS = 600
ADDRESS = re.compile(r".+:\d+")


# What every collective of the others raises once a worker has ended, stands still or was started
# again: by TensorFlow's coordination service, gRPC, or NCCL.
LOST_WORKER = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
)
LOST_WORKER_WORDS = ("current incarnation doesn't match", "NCCL: unhandled", "NCCL: remote")


@dataclass(frozen=True)
class Cluster:
    """The workers that train together.

    Attributes:
      addresses: host:port of each worker, the chief's first.
      worker: number of this process among them.
    """

    addresses: tuple[str, ...]
    worker: int

    @property
    def workers_here(self) -> int:
        """The number of workers on the machine of this process."""
        return self.hosts.count(self.hosts[self.worker])

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host of each worker."""
        return tuple(address.rpartition(":")[0] for address in self.addresses)


def from_environment() -> Cluster | None:
    """Returns the cluster of TF_CONFIG, or None where it is not set or lists no workers.

    Raises:
      UsageError: if it cannot be read, or does not list this process.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        tf_config = json.loads(text)
        tasks = dict(tf_config.get("cluster") or {})
        for listed in tasks.values():
            if not isinstance(listed, list) or not all(map(ADDRESS.fullmatch, listed)):
                raise ValueError(f"{listed!r} is not a list of host:port")
        kind, index = "worker", 0
        if tasks:
            kind, index = tf_config["task"]["type"], int(tf_config["task"]["index"])
    except json_files.DAMAGE as error:
        raise UsageError(
            f"the environment variable TF_CONFIG cannot be read ({error!r}): give JSON such as "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
            '"task": {"type": "worker", "index": 0}}, or unset it.'
        ) from error
    addresses = [*tasks.get("chief", []), *tasks.get("worker", [])]
    if not addresses:
        return None
    first = len(tasks.get("chief", [])) if kind == "worker" else 0
    if kind not in ("chief", "worker") or not 0 <= index < len(tasks.get(kind, [])):
        raise UsageError(
            f"TF_CONFIG's task is {kind} {index}, but its cluster has "
            f"{len(tasks.get('chief', []))} chief and {len(tasks.get('worker', []))} workers: "
            "give each process of the job one of them as its task, and no other type."
        )
    return Cluster(tuple(addresses), first + index)


def strategy(
    cluster: Cluster, cpu_devices: int = 0, facts: Mapping[str, str] | None = None
) -> tf.distribute.Strategy:
    """Joins the other workers and returns the strategy over all their devices.

    Args:
      cluster: from `from_environment()`.
      cpu_devices: replicas of each worker on a machine without GPUs.
      facts: what must be equal on all workers, by name.

    Raises:
      UsageError: on all workers, if one differs from the chief.
      WorkerLost: if the others cannot be joined, or this worker's address is taken.
    """
    addresses = ", ".join(cluster.addresses)
    print(
        f"worker {cluster.worker} waits up to {JOIN_SECONDS} s for the others at {addresses}",
        file=sys.stderr,
        flush=True,
    )
    try:
        everyone = rendezvous.meet(
            cluster.addresses, cluster.worker, facts or {}, seconds=JOIN_SECONDS
        )
    except OSError as error:
        raise _cannot_join(cluster, error) from error
    rendezvous.check_equal(everyone)
    with _exit_if_alone():
        try:
            if cpu_devices > 1 and not tf.config.list_physical_devices("GPU"):
                return _CpuWorkers(cpu_devices)
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.OpError, RuntimeError) as error:
            raise _cannot_join(cluster, error) from error


def is_lost_worker(error: Exception) -> bool:
    """Returns whether this is an error that a worker raises because it has lost another."""
    words = getattr(error, "message", "")
    return isinstance(error, LOST_WORKER) or any(part in words for part in LOST_WORKER_WORDS)


def _cannot_join(cluster: Cluster, error: Exception) -> WorkerLost:
    return WorkerLost(
        f"worker {cluster.worker} cannot join the others at {', '.join(cluster.addresses)} "
        f"({str(error).splitlines()[0]}): start all of them within {JOIN_SECONDS} s, and let "
        f"nothing else listen at {cluster.addresses[cluster.worker]}."
    )


class _CpuWorkers(tf.distribute.MultiWorkerMirroredStrategy):
    """MultiWorkerMirroredStrategy with each logical CPU device of a worker as a replica."""

    def __init__(self, devices: int):
        tf.distribute.Strategy.__init__(self, _CpuExtended(self, devices))


class _CpuExtended(CollectiveAllReduceExtended):
    def __init__(self, strategy: tf.distribute.Strategy, devices: int):
        self._devices_per_worker = devices
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
        options = tf.distribute.experimental.CommunicationOptions()
        super().__init__(strategy, resolver, options)

    def _initialize_local_devices(self, cluster_resolver, worker_device):
        numbers = range(self._devices_per_worker)
        return tuple(f"{worker_device}/device:CPU:{number}" for number in numbers), "CPU"


@contextmanager
def _exit_if_alone() -> Iterator[None]:
    """Ends the process with exit code 1 if one is lost between the rendezvous and TensorFlow's own.

    TensorFlow would wait an hour, with the interpreter locked: only a thread of C can end it.
    """
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(JOIN_SECONDS, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
