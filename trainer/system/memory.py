"""How much memory a run takes."""

import resource
from collections.abc import Sequence

import tensorflow as tf

GIB = 2**30


def peak_gib(devices: Sequence[str]) -> dict[str, float]:
    """Returns the most that has been in use, in GiB: of the host, and of a GPU.

    Args:
      devices: names of this worker's devices; the fullest GPU counts.
    """
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    peaks = [
        tf.config.experimental.get_memory_info(name)["peak"]
        for name in (device.split("/")[-1].removeprefix("device:") for device in devices)
        if name.startswith("GPU")
    ]
    return {"host": host} | ({"device": max(peaks) / GIB} if peaks else {})
