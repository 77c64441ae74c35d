"""Which strategy on which devices."""

import tensorflow as tf
from ml_collections import ConfigDict

from trainer.entry import Refusal


def strategy(config: ConfigDict, global_batch: int) -> tf.distribute.Strategy:
    """Returns the strategy for the devices that are there.

    "auto" mirrors over all GPUs or, without any, over all logical CPU devices, if there are
    several; "one_device" takes the first.

    Args:
      config: the fields `distribute.*`.
      global_batch: images a step over all replicas.

    Raises:
      Refusal: if the global batch does not divide by the replicas.
    """
    if config.cpu_devices:
        _make_cpu_devices(config.cpu_devices)
    cpus, gpus = (tf.config.list_logical_devices(kind) for kind in ("CPU", "GPU"))
    devices = [device.name for device in (gpus or cpus)]
    if config.strategy == "one_device" or (config.strategy == "auto" and len(devices) == 1):
        return tf.distribute.OneDeviceStrategy(devices[0])
    if global_batch % len(devices):
        below = global_batch - global_batch % len(devices)
        sizes = [str(size) for size in (below, below + len(devices)) if size]
        raise Refusal(
            f"train.batch_size={global_batch} does not divide by the {len(devices)} replicas: "
            f"give {' or '.join(sizes)}."
        )
    return tf.distribute.MirroredStrategy(devices)


def describe(strategy: tf.distribute.Strategy) -> str:
    """Returns the strategy and its devices in one line."""
    name = type(strategy).__name__.removesuffix("Strategy").removesuffix("V1")
    devices = strategy.extended.worker_devices
    return f"{name} on {', '.join(d.split('/')[-1].removeprefix('device:') for d in devices)}"


def _make_cpu_devices(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:  # TensorFlow has started, as when a test has made them
        made = len(tf.config.list_logical_devices("CPU"))
        if made != count:
            raise Refusal(
                f"distribute.cpu_devices={count}, but this process began with {made}: "
                "start a new one."
            ) from None
