"""How much memory a run takes."""

from collections.abc import Sequence
from pathlib import Path

GIB = 2**30


def peak_bytes() -> int:
    """Returns the most memory that this process has had.

    From VmHWM, since getrusage's ru_maxrss starts at that of the process which started this one.
    """
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def peak_gib(devices: Sequence[str]) -> dict[str, float]:
    """Returns the most memory that has been in use, in GiB: of the host, and of a GPU.

    Args:
      devices: names of this worker's devices; the fullest GPU counts.
    """
    import tensorflow as tf

    peaks = [
        tf.config.experimental.get_memory_info(name)["peak"]
        for name in (device.split("/")[-1].removeprefix("device:") for device in devices)
        if name.startswith("GPU")
    ]
    return {"host": peak_bytes() / GIB} | ({"device": max(peaks) / GIB} if peaks else {})
