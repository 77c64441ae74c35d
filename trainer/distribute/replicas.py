"""The replicas of a run: on which devices, of which workers, and which of them this process is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.distribute import cluster, tpu
from trainer.system.errors import UsageError


@dataclass(frozen=True)
class Replicas:
    """The replicas of a run and this process's place among them.

    Attributes:
      strategy: lays them out.
      reason: why this strategy.
      workers: number of processes that train together.
      worker: this one's number; 0 is the chief, which alone writes.
    """

    strategy: tf.distribute.Strategy
    reason: str
    workers: int = 1
    worker: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.worker == 0

    def sum(self, values: list[float]) -> np.ndarray:
        """Returns the sum of each value over the workers, float64; all must call it."""
        if self.workers == 1:
            return np.array(values, np.float64)
        return self._sum(tf.constant(values, tf.float64)).numpy()

    def broadcast_from_chief(self, values: list[float]) -> np.ndarray:
        """Returns the chief's values, to every worker; all must call it."""
        return self.sum(values if self.is_chief else [0.0] * len(values))

    def barrier(self) -> None:
        """Returns once every worker has called it."""
        self.sum([0.0])

    @cached_property
    def _sum(self) -> Callable[[tf.Tensor], tf.Tensor]:
        local = self.strategy.num_replicas_in_sync // self.workers

        @tf.function
        def of_workers(values: tf.Tensor) -> tf.Tensor:
            per_replica = self.strategy.run(tf.identity, args=(values,))
            return self.strategy.reduce("SUM", per_replica, axis=None) / local

        return of_workers

    def __str__(self) -> str:
        kind = type(self.strategy).__name__.removesuffix("V1").removesuffix("Strategy")
        kind = "MultiWorkerMirrored" if self.workers > 1 else kind
        names = ", ".join(d.split("/")[-1].removeprefix("device:") for d in self.devices)
        place = f" of worker {self.worker} of {self.workers}" if self.workers > 1 else ""
        return f"{kind} on {names}{place} ({self.reason})"

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of this worker's devices."""
        return self.strategy.extended.worker_devices


def connect(config: ConfigDict) -> Replicas:
    """Returns the replicas that `distribute.*` asks for; joins the other workers if there are any.

    "auto" takes the cluster that TF_CONFIG names, else a TPU, else mirrors over all GPUs or all
    logical CPU devices, or takes the one device that is there.

    Args:
      config: of the run.

    Raises:
      UsageError: if the devices are not there, or the global batch does not divide among them.
    """
    found = cluster.from_environment()
    workers = len(found.addresses) if found else 1
    chosen, reason = _choose(config.distribute.strategy, workers)
    if workers > 1 and chosen != "multi_worker":
        raise UsageError(
            f"distribute.strategy={chosen}, but TF_CONFIG names {workers} workers, which would "
            "all train alone: give --config.distribute.strategy=multi_worker, or unset TF_CONFIG."
        )
    if chosen != "tpu" and tpu.installed() and config.augment.jit_compile:
        raise UsageError(
            f"this TensorFlow is the build for TPUs, which compiles nothing for the devices that "
            f"distribute.strategy={chosen} takes: install another with ACCELERATOR=cpu "
            "scripts/setup.sh, or give --config.augment.jit_compile=false."
        )
    if chosen == "tpu":
        made = Replicas(tpu.strategy(config.distribute.tpu), reason)
    elif chosen == "multi_worker":
        made = _several_workers(config, found, reason)
    else:
        made = _one_machine(config, chosen, reason)
    schema.check_global_batch(config, made.strategy.num_replicas_in_sync)
    return made


def _choose(asked: str, workers: int) -> tuple[str, str]:
    """Returns the strategy's name and why it is this one; "auto" for any on this machine."""
    if asked != "auto":
        return asked, f"distribute.strategy={asked}"
    if workers > 1:
        return "multi_worker", f"auto: TF_CONFIG names {workers} workers"
    if why := tpu.evidence():
        return "tpu", f"auto: {why}"
    return "auto", "auto"


def _several_workers(config: ConfigDict, found: cluster.Cluster | None, reason: str) -> Replicas:
    if found is None:
        raise UsageError(
            "distribute.strategy=multi_worker, but the environment variable TF_CONFIG names no "
            "workers: start them with python -m trainer launch --workers=N -- FLAGS, or set "
            "TF_CONFIG for each."
        )
    cpu_devices, workers = config.distribute.cpu_devices, len(found.addresses)
    if cpu_devices:
        _make_cpu_devices(cpu_devices)
    local = len(tf.config.list_physical_devices("GPU")) or max(1, cpu_devices)
    schema.check_global_batch(config, workers * local)  # before the wait for the others
    return Replicas(cluster.strategy(found, cpu_devices), reason, workers, found.worker)


def _one_machine(config: ConfigDict, chosen: str, reason: str) -> Replicas:
    if config.distribute.cpu_devices:
        _make_cpu_devices(config.distribute.cpu_devices)
    cpus, gpus = (tf.config.list_logical_devices(kind) for kind in ("CPU", "GPU"))
    devices = [device.name for device in (gpus or cpus)]
    if chosen == "auto":
        chosen = "one_device" if len(devices) == 1 else "mirrored"
        kind, plural = "GPU" if gpus else "CPU", "s" if len(devices) > 1 else ""
        reason = f"auto: {len(devices)} {kind} device{plural}"
    if chosen == "one_device":
        return Replicas(tf.distribute.OneDeviceStrategy(devices[0]), reason)
    return Replicas(tf.distribute.MirroredStrategy(devices), reason)


def _make_cpu_devices(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started, as when a test has made them
        made = len(tf.config.list_logical_devices("CPU"))
        if made != count:
            raise UsageError(
                f"distribute.cpu_devices={count}, but this process began with {made}: "
                "start a new one."
            ) from None
