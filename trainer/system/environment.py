"""Command, versions, devices, processor and commit of a run, to repeat it by."""

import importlib.metadata
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The commit that a container image was built from, "-dirty" with changes on top; see Dockerfile.
COMMIT = "TRAINER_COMMIT"
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu")
PACKAGES = (*TENSORFLOWS, "keras", "numpy")
# What oneDNN, XLA and Eigen choose their kernels by, each of which rounds in an order of its own.
INSTRUCTIONS = (
    *("avx", "fma", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "asimd", "sve", "sve2", "bf16"),
)


def describe(devices: Sequence[str]) -> dict:
    """Returns a start of a run: command, versions, host, devices, processor, git commit, time.

    The processor is told by `onednn`, whether TensorFlow uses it, and its `instructions`.
    """
    from tensorflow.python.util import _pywrap_util_port

    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    typed = sys.argv[0] == "radiograph train"  # else by launch, tune or a cloud
    program = "radiograph train" if typed else "python -m trainer.task"
    return {
        "command": f"{program} {shlex.join(sys.argv[1:])}",
        "versions": versions,
        "host": socket.gethostname(),
        "devices": list(devices),
        "onednn": _pywrap_util_port.IsMklEnabled(),
        "instructions": _instructions(),
        "git_commit": _git_commit(),
        "started": _now(),
    }


def ended(code: int, reason: str) -> dict:
    """Returns how a start ended before the run was finished: exit code, sentence, time."""
    return {"code": code, "reason": reason, "time": _now()}


def starts(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns all starts of a run; in records of earlier versions there is the first alone.

    Args:
      record: the content of `environment.json`.
    """
    return record.get("starts", [{**record, "step": 0}])


def check(record: Mapping[str, Any]) -> None:
    """Raises an error of any kind unless `record` is the content of an `environment.json`."""
    datetime.fromisoformat(record["started"])
    for start in [record, *starts(record)]:
        named = start["command"], start["started"], start.get("host", ""), *start["devices"]
        ", ".join((*named, arithmetic(start), *start["versions"].values()))
        if not isinstance(start["git_commit"], str | None) or int(start.get("step", 0)) < 0:
            raise ValueError(start)


def tensorflow_version(start: Mapping[str, Any]) -> str:
    """Returns TensorFlow's version at a start, whichever of its packages it was."""
    versions = start["versions"]
    return next((versions[name] for name in TENSORFLOWS if name in versions), "unknown")


def arithmetic(start: Mapping[str, Any]) -> str:
    """Returns what the last bits of a CPU depend on at a start, "" where its record does not say.

    As in "avx fma avx2 with oneDNN".
    """
    if "instructions" not in start:
        return ""
    return f"{' '.join(start['instructions'])} {'with' if start['onednn'] else 'without'} oneDNN"


def _instructions() -> list[str]:
    """Returns those of `INSTRUCTIONS` that the processor has; none where nothing tells."""
    processor = Path("/proc/cpuinfo")
    words = {*processor.read_text().split()} if processor.exists() else set()
    return [name for name in INSTRUCTIONS if name in words]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git_commit() -> str | None:
    return _checkout_commit() or os.environ.get(COMMIT) or None


def _checkout_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "-C", Path(__file__).parent, "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
