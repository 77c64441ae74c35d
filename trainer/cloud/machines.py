"""The machines that clouds have for training, and the choice among them."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from trainer.system.errors import UsageError


class Machine(NamedTuple):
    """One worker's machine.

    Attributes:
      type: as in g2-standard-24; "" for a TPU VM and for any node of a cluster.
      accelerator: as in nvidia-l4 or tpu-v5e; "" for none.
      count: accelerators of the machine, 0 for none.
      topology: arrangement of a TPU's chips, as in 2x4; "" for others.
    """

    type: str
    accelerator: str
    count: int  # type: ignore[assignment]  # hides the tuple's method
    topology: str = ""

    @property
    def replicas(self) -> int:
        """Replicas that share the machine's part of a batch."""
        return max(1, self.count)

    def __str__(self) -> str:
        accelerators = f"{self.count} x {self.accelerator}" if self.accelerator else ""
        return " with ".join(filter(None, [self.type, accelerators])) or "CPU"

    def times(self, workers: int) -> str:
        """Returns some of these in words, as in "2 machines x 2 nvidia-l4 (g2-standard-24)"."""
        machines = f"{workers} machine{'s' * (workers > 1)}"
        if not self.accelerator:
            return f"{machines} ({self.type or 'CPU'})"
        type_name = f" ({self.type})" if self.type else ""
        return f"{machines} x {self.count} {self.accelerator}{type_name}"


def _n1(fewest: Mapping[int, int], counts: Collection[int], defaults: Mapping[int, str]) -> dict:
    """Returns the N1 machine types by the number of their GPUs.

    Args:
      fewest: GPUs that a machine needs at least, by the most CPUs that it may have.
      counts: of GPUs that are available.
      defaults: machine type of each count.
    """
    sizes = {"standard": (4, 8, 16, 32, 64, 96), "highmem": (2, 4, 8, 16, 32, 64, 96)}
    sizes["highcpu"] = (16, 32, 64, 96)
    table = {}
    for count in counts:
        most = max(limit for limit, needed in fewest.items() if needed <= count)
        types = [f"n1-{kind}-{n}" for kind, cpus in sizes.items() for n in cpus if n <= most]
        table[count] = _first(defaults[count], types)
    return table


def _first(default: str, types: Iterable[str]) -> tuple[str, ...]:
    return (default, *(each for each in types if each != default))


# Accelerator -> count in a machine -> the machine types with so many, the default first.
#
# Those of Vertex AI's training, by the tables "Machine types", "Valid numbers of GPUs for
# each machine type" and "TPU v5e" of
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/training/configure-compute
# (copy of 2026, read in November 2026). Left out are P100 (its support ended on 2026-09-15), P4
# (8 GB), GB200 (ARM, by reservation only) and TPU v2, v3 and 7x.
GPUS: dict[str, dict[int, tuple[str, ...]]] = {
    "nvidia-tesla-t4": _n1(
        {16: 1, 32: 2, 96: 4},
        (1, 2, 4),
        {1: "n1-standard-8", 2: "n1-standard-16", 4: "n1-standard-32"},
    ),
    "nvidia-tesla-v100": _n1(
        {8: 1, 16: 2, 32: 4, 96: 8},
        (1, 2, 4, 8),
        {1: "n1-standard-8", 2: "n1-standard-16", 4: "n1-standard-32", 8: "n1-standard-64"},
    ),
    "nvidia-l4": {
        1: ("g2-standard-8", "g2-standard-4", "g2-standard-12", "g2-standard-16", "g2-standard-32"),
        2: ("g2-standard-24",),
        4: ("g2-standard-48",),
        8: ("g2-standard-96",),
    },
    "nvidia-rtx-pro-6000": {
        1: ("g4-standard-48",),
        2: ("g4-standard-96",),
        4: ("g4-standard-192",),
        8: ("g4-standard-384",),
    },
    "nvidia-tesla-a100": {
        1: ("a2-highgpu-1g",),
        2: ("a2-highgpu-2g",),
        4: ("a2-highgpu-4g",),
        8: ("a2-highgpu-8g",),
        16: ("a2-megagpu-16g",),
    },
    "nvidia-a100-80gb": {
        1: ("a2-ultragpu-1g",),
        2: ("a2-ultragpu-2g",),
        4: ("a2-ultragpu-4g",),
        8: ("a2-ultragpu-8g",),
    },
    "nvidia-h100-80gb": {
        1: ("a3-highgpu-1g",),
        2: ("a3-highgpu-2g",),
        4: ("a3-highgpu-4g",),
        8: ("a3-highgpu-8g",),
    },
    "nvidia-h100-mega-80gb": {8: ("a3-megagpu-8g",)},
    "nvidia-h200-141gb": {8: ("a3-ultragpu-8g",)},
    "nvidia-b200": {8: ("a4-highgpu-8g",)},
}
# Of one host each: slices of several hosts have not been tried.
TPUS: dict[str, dict[int, tuple[str, ...]]] = {
    "tpu-v5e": {1: ("ct5lp-hightpu-1t",), 4: ("ct5lp-hightpu-4t",), 8: ("ct5lp-hightpu-8t",)},
    "tpu-v6e": {1: ("ct6e-standard-1t",), 4: ("ct6e-standard-4t",), 8: ("ct6e-standard-8t",)},
}
TOPOLOGIES = {1: "1x1", 4: "2x2", 8: "2x4"}
# The same page's machine types without an accelerator, but for those of N4 and M1.
CPU = "cpu"
CPUS = _first(
    "n2-standard-8",
    [
        f"{kind}-{cpus}"
        for kind, sizes in {
            "e2-standard": (4, 8, 16, 32),
            "e2-highmem": (2, 4, 8, 16),
            "e2-highcpu": (16, 32),
            "n1-standard": (4, 8, 16, 32, 64, 96),
            "n1-highmem": (2, 4, 8, 16, 32, 64, 96),
            "n1-highcpu": (16, 32, 64, 96),
            "n2-standard": (4, 8, 16, 32, 48, 64, 80),
            "n2-highmem": (2, 4, 8, 16, 32, 48, 64, 80),
            "n2-highcpu": (16, 32, 48, 64, 80),
            "c2-standard": (4, 8, 16, 30, 60),
        }.items()
        for cpus in sizes
    ],
)
ACCELERATORS = {**GPUS, **TPUS, CPU: {0: CPUS}}

# Their names in the TPU API: https://docs.cloud.google.com/tpu/docs/v5e-training and
# .../v6e-training, software by https://docs.cloud.google.com/tpu/docs/runtimes (read in
# November 2026).
_TPU_VM_TYPES = {"tpu-v5e": "v5litepod", "tpu-v6e": "v6e"}
_TPU_VM_RUNTIMES = {"tpu-v5e": "v2-alpha-tpuv5-lite", "tpu-v6e": "v2-alpha-tpuv6e"}


def choose(accelerator: str, machine_type: str, platform: str) -> Machine:
    """Returns the machine that the user describes.

    Args:
      accelerator: NAME or NAME:COUNT, as in nvidia-l4:2; "cpu" for none.
      machine_type: as in g2-standard-24; "" for the default.
      platform: vertex, tpu_vm or kubernetes.

    Raises:
      UsageError: if the platform has no such machine.
    """
    name, count = _parse(accelerator)
    _check_platform(name, platform)
    if count not in ACCELERATORS[name]:
        several = "" if name in TPUS else "; for more, add --workers"
        raise UsageError(
            f"--accelerator={accelerator}: {name} comes in machines of "
            f"{_either(map(str, ACCELERATORS[name]))}{several}."
        )
    if machine_type:
        _check_type(machine_type, name, count, platform=platform)
    elif platform == "vertex":
        machine_type = ACCELERATORS[name][count][0]
    topology = TOPOLOGIES[count] if name in TPUS else ""
    return Machine(machine_type, "" if name == CPU else name, count, topology)


def vertex_enum(machine: Machine) -> str:
    """Returns Vertex AI's AcceleratorType; "" for a TPU, which the machine type implies."""
    return machine.accelerator.upper().replace("-", "_") if machine.accelerator in GPUS else ""


def tpu_vm_type(machine: Machine) -> str:
    """Returns the TPU API's accelerator type, as in v5litepod-8."""
    return f"{_TPU_VM_TYPES[machine.accelerator]}-{machine.count}"


def tpu_vm_runtime(machine: Machine) -> str:
    """Returns the TPU API's runtime version: a bare system for the container."""
    return _TPU_VM_RUNTIMES[machine.accelerator]


def environment(machine: Machine) -> dict[str, str]:
    """Returns the environment variables with which TensorFlow finds the machine's accelerators.

    A TPU from v5e on is used through PJRT, by the library in the image:
    https://cloud.google.com/vertex-ai/docs/training/training-with-tpu-vm
    """
    if machine.accelerator not in TPUS:
        return {}
    return {
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": "/lib/libtpu.so",
    }


def _parse(accelerator: str) -> tuple[str, int]:
    """Returns name and count of NAME:COUNT."""
    given, colon, number = accelerator.partition(":")
    name = given.strip().lower().replace("_", "-")
    if name not in ACCELERATORS:
        # "l4" suggests all names that contain it.
        near = [each for each in ACCELERATORS if name and name in each]
        near = near or _similar(name, ACCELERATORS) or list(ACCELERATORS)
        raise UsageError(
            f"--accelerator={accelerator} is not an accelerator: give {_either(near)}."
        )
    if name == CPU and colon:
        raise UsageError(
            f"--accelerator={accelerator}: give cpu alone; how many CPUs a machine has is in "
            f"--machine_type, as in {CPUS[0]}."
        )
    if not colon:
        return name, 0 if name == CPU else 1
    if not number.isdecimal():
        raise UsageError(
            f"--accelerator={accelerator}: after the colon comes how many a machine has, "
            f"{_either(map(str, ACCELERATORS[name]))}."
        )
    return name, int(number)


def _check_platform(name: str, platform: str) -> None:
    """Raises a UsageError if the platform has no such accelerator."""
    if platform == "tpu_vm" and name not in TPUS:
        raise UsageError(
            f"--platform=tpu_vm has only TPUs, no {name}: give --accelerator={_either(TPUS)}, "
            "or --platform=vertex."
        )
    # By https://docs.cloud.google.com/gemini-enterprise-agent-platform/machine-learning/training/training-with-tpu-vm:
    # "Starting with TPU v6e, TensorFlow is no longer supported" (read in November 2026).
    if platform == "vertex" and name == "tpu-v6e":
        raise UsageError(
            "--platform=vertex does not run TensorFlow on TPU v6e: give --accelerator=tpu-v5e, or "
            "--platform=tpu_vm, which runs any container."
        )


def _check_type(machine_type: str, name: str, count: int, *, platform: str) -> None:
    """Raises a UsageError unless the machine type has that many of the accelerator."""
    if platform == "tpu_vm":
        raise UsageError(
            f"--machine_type={machine_type}: a TPU VM's machine follows from --accelerator; "
            "leave it out."
        )
    types = ACCELERATORS[name][count]
    if machine_type in types:
        return
    wanted = f"{name}:{count}" if count else name
    if others := _accelerators(machine_type):
        raise UsageError(
            f"--machine_type={machine_type} has {_either(others)}, not {wanted}: "
            f"give {_some(types)}, or another --accelerator."
        )
    near = _similar(machine_type, types)
    raise UsageError(
        f"--machine_type={machine_type} is not a machine type: for {wanted}, give "
        f"{_some(near or types)}."
    )


def _accelerators(machine_type: str) -> list[str]:
    """Returns the accelerators of a machine type, as --accelerator has them."""
    return [
        f"{name}:{count}" if count else name
        for name, counts in ACCELERATORS.items()
        for count, types in counts.items()
        if machine_type in types
    ]


def _similar(name: str, known: Collection[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=2, cutoff=0.75)


def _some(types: Collection[str], most: int = 6) -> str:
    """Returns the types, or the first of many, as a phrase."""
    listed = list(types)
    if len(listed) > most:
        listed = [*listed[:most], f"{len(listed) - most} others"]
    return _either(listed)


def _either(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
