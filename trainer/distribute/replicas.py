"""The replicas of a run: the devices and workers that train, and this process among them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.distribute import cluster, tpu
from trainer.system.errors import UsageError


@dataclass(frozen=True)
class Replicas:
    """The replicas of a run and this process's place among them.

    Attributes:
      strategy: TensorFlow's.
      reason: why this strategy was chosen.
      workers: number of processes that train together.
      worker: number of this process; 0 is the chief, which alone writes.
      workers_here: number of the processes that are on this machine.
      hosts: of each worker, as TF_CONFIG names them.
    """

    strategy: tf.distribute.Strategy
    reason: str
    workers: int = 1
    worker: int = 0
    workers_here: int = 1
    hosts: tuple[str, ...] = ()

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run."""
        return self.worker == 0

    def name(self, worker: int) -> str:
        """Returns the name of a worker for messages, with its host where that is known."""
        return f"worker {worker} ({self.hosts[worker]})" if self.hosts else f"worker {worker}"

    @property
    def device_kind(self) -> str:
        """What this worker's devices are, such as NVIDIA L4, TPU or CPU."""
        kind = self.devices[0].split("/")[-1].removeprefix("device:").split(":")[0]
        if kind != "GPU":
            return kind
        gpu = tf.config.list_physical_devices(kind)[0]
        return tf.config.experimental.get_device_details(gpu).get("device_name", kind)

    def sum(self, values: list[float]) -> np.ndarray:
        """Returns the sum of each value over the workers, float64; all must call it."""
        if self.workers == 1:
            return np.array(values, np.float64)
        return self._sum(tf.constant(values, tf.float64)).numpy()

    def broadcast_from_chief(self, values: list[float]) -> np.ndarray:
        """Returns the chief's values, to every worker; all must call it."""
        return self.sum(values if self.is_chief else [0.0] * len(values))

    def gather(self, values: list[float]) -> np.ndarray:
        """Returns the values of each worker, [workers, n] float64; all must call it."""
        rows = np.zeros((self.workers, len(values)))
        rows[self.worker] = values
        return self.sum(list(rows.ravel())).reshape(rows.shape)

    def barrier(self) -> None:
        """Returns once every worker has called it."""
        self.sum([0.0])

    @cached_property
    def _sum(self) -> Callable[[tf.Tensor], tf.Tensor]:
        local = self.strategy.num_replicas_in_sync // self.workers

        @tf.function
        def sum_over_workers(values: tf.Tensor) -> tf.Tensor:
            per_replica = self.strategy.run(tf.identity, args=(values,))
            return self.strategy.reduce("SUM", per_replica, axis=None) / local

        return sum_over_workers

    def __str__(self) -> str:
        kind = type(self.strategy).__name__.removesuffix("V1").removesuffix("Strategy")
        kind = "MultiWorkerMirrored" if self.workers > 1 else kind
        names = ", ".join(d.split("/")[-1].removeprefix("device:") for d in self.devices)
        worker = f" of worker {self.worker} of {self.workers}" if self.workers > 1 else ""
        return f"{kind} on {names}{worker} ({self.reason})"

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of this worker's devices."""
        return self.strategy.extended.worker_devices


def connect(
    options: ConfigDict,
    check: Callable[[str, int], None],
    facts: Mapping[str, str] | None = None,
) -> Replicas:
    """Returns the replicas that `distribute.*` asks for; joins the other workers if there are any.

    "auto" takes the cluster that TF_CONFIG names, else a TPU, else mirrors over all GPUs or all
    logical CPU devices, or takes the single device.

    Args:
      options: `distribute` of the config.
      check: is called with the strategy's name and the number of replicas as soon as they are
        known, before other workers are awaited; raises a UsageError if they do not suit.
      facts: what must be equal on all workers, by name; their devices must be, too.

    Raises:
      UsageError: if the devices do not exist, or workers differ.
      WorkerLost: if the other workers cannot be joined.
    """
    members = cluster.from_environment()
    workers = len(members.addresses) if members else 1
    strategy, reason = _choose(options.strategy, workers)
    if workers > 1 and strategy != "multi_worker":
        raise UsageError(
            f"distribute.strategy={strategy}, but TF_CONFIG names {workers} workers, which would "
            "all train alone: give --config.distribute.strategy=multi_worker, or unset TF_CONFIG."
        )
    if strategy == "multi_worker":
        return _several_workers(options, members, reason, check=check, facts=facts or {})
    if strategy == "tpu":
        replicas = Replicas(tpu.strategy(options.tpu), reason)
    else:
        replicas = _one_machine(options, strategy, reason)
    check(strategy, replicas.strategy.num_replicas_in_sync)
    return replicas


def _choose(strategy: str, workers: int) -> tuple[str, str]:
    """Returns the strategy's name and why it is this one; "auto" for any on this machine."""
    if strategy != "auto":
        return strategy, f"distribute.strategy={strategy}"
    if workers > 1:
        return "multi_worker", f"auto: TF_CONFIG names {workers} workers"
    if evidence := tpu.evidence():
        return "tpu", f"auto: {evidence}"
    return "auto", "auto"


def _several_workers(
    options: ConfigDict,
    members: cluster.Cluster | None,
    reason: str,
    *,
    check: Callable[[str, int], None],
    facts: Mapping[str, str],
) -> Replicas:
    if members is None:
        raise UsageError(
            "distribute.strategy=multi_worker, but the environment variable TF_CONFIG names no "
            "workers: start them with radiograph launch --workers=N -- FLAGS, or set "
            "TF_CONFIG for each."
        )
    if options.cpu_devices:
        _make_cpu_devices(options.cpu_devices)
    workers = len(members.addresses)
    gpus = len(tf.config.list_physical_devices("GPU"))
    local, kind = gpus or max(1, options.cpu_devices), "GPU" if gpus else "CPU"
    check("multi_worker", workers * local)
    facts = {"devices": f"{local} x {kind}", **facts}
    joined = cluster.strategy(members, options.cpu_devices, facts)
    return Replicas(
        joined, reason, workers, members.worker, members.workers_here, hosts=members.hosts
    )


def _one_machine(options: ConfigDict, strategy: str, reason: str) -> Replicas:
    if options.cpu_devices:
        _make_cpu_devices(options.cpu_devices)
    cpus, gpus = (tf.config.list_logical_devices(kind) for kind in ("CPU", "GPU"))
    devices = [device.name for device in (gpus or cpus)]
    if strategy == "auto":
        strategy = "one_device" if len(devices) == 1 else "mirrored"
        kind, plural = "GPU" if gpus else "CPU", "s" if len(devices) > 1 else ""
        reason = f"auto: {len(devices)} {kind} device{plural}"
    if strategy == "one_device":
        return Replicas(tf.distribute.OneDeviceStrategy(devices[0]), reason)
    return Replicas(tf.distribute.MirroredStrategy(devices), reason)


def _make_cpu_devices(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started, as when a test has made the devices
        existing = len(tf.config.list_logical_devices("CPU"))
        if existing != count:
            raise UsageError(
                f"distribute.cpu_devices={count}, but this process has started with {existing}: "
                "start a new one."
            ) from None
