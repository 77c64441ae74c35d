"""How much memory a run takes, and how much it can take."""

import resource
from collections.abc import Sequence
from pathlib import Path

from trainer.system.errors import UsageError

GIB = 2**30
# prepare peaks at 2.9 GiB with two cores, of which it uses 0.7, and more cores take more; without
# room for a thread the reader of records waits for ever.
LEAST_ADDRESS_SPACE = 2**32
# Names of the limit, the usage, and the share of it that is cached, by the name of the controller:
# version 2 of cgroups has one hierarchy without a name.
CGROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


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


def gpu_bytes() -> int:
    """Returns how much memory TensorFlow may take of the smallest of this process's GPUs."""
    from tensorflow.python.client import device_lib

    found = device_lib.list_local_devices()
    return min(device.memory_limit for device in found if device.device_type == "GPU")


def free_bytes(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Returns how much memory this process can still take: of the machine, and of its cgroups.

    Args:
      proc: where the kernel describes processes and memory.
      cgroups: where it describes control groups, of either version.
    """
    lines = (proc / "meminfo").read_text().splitlines()
    (available,) = (int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    left = [available * 1024]
    groups = proc / "self/cgroup"
    for line in groups.read_text().splitlines() if groups.exists() else []:
        _, controllers, path = line.split(":", 2)
        if controllers in CGROUP_FILES:
            group = cgroups / controllers / path.lstrip("/")
            folders = [group, *group.parents]
            for folder in folders[: folders.index(cgroups / controllers) + 1]:
                left += _left_in_cgroup(folder, *CGROUP_FILES[controllers])
    return max(0, min(left))


def check_address_space() -> None:
    """Raises a UsageError where `ulimit -v` leaves too little for the threads that read records.

    One that cannot be started is waited for without end, deaf to signals.
    """
    allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY and allowed < LEAST_ADDRESS_SPACE:
        raise UsageError(
            f"this shell allows a process {gib(allowed)} of address space (ulimit -v), and reading "
            f"a data set takes {gib(LEAST_ADDRESS_SPACE)} or more: lift that limit with ulimit -v "
            "unlimited."
        )


def gib(size: int) -> str:
    """Returns a number of bytes in words."""
    return f"{size / GIB:,.2f} GiB"


def _left_in_cgroup(folder: Path, limit: str, usage: str, cached: str) -> list[int]:
    """Returns what a cgroup may still take, or nothing where it has no limit or cannot be read.

    Files that were read and are not in use count as usage, and make room when it is needed.
    """
    try:
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        most, used = (int((folder / name).read_text()) for name in (limit, usage))
    except (OSError, ValueError):
        return []
    return [most - used + int(stat.get(cached, 0))]
