"""`environment.json`: every start of a run, where it was, and from which step it went on."""

import re
from collections.abc import Mapping
from typing import Any

from trainer.show.logger import Logger
from trainer.system import atomic, environment, json_files
from trainer.system.terminal import LiveLine
from trainer.training.progress import Progress
from trainer.training.run import Run


class StartRecord(Logger):
    """Adds each start to the run's environment record, and says what has changed since the last.

    Args:
      line: of the terminal.
    """

    def __init__(self, line: LiveLine):
        self._line = line

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Adds the start of the run, or of what is left of it."""
        file, replicas = run.workdir / "environment.json", run.replicas
        record = json_files.read(file)
        start = environment.describe(replicas.devices)
        start |= {"device_kind": replicas.device_kind, "step": progress.step}
        if replicas.workers > 1:
            start["host"] = ", ".join(dict.fromkeys(replicas.hosts))
        earlier = environment.starts(record)
        atomic.write_json(file, record | {"starts": [*earlier, start]})
        if earlier and (changed := changes(earlier[-1], start)):
            self._line.settle(
                f"since the start before, {changed}: the run goes on, but not bit for bit as it "
                "would have"
            )


def changes(before: Mapping[str, Any], start: Mapping[str, Any]) -> str:
    """Returns in words which of TensorFlow, kind of device and a CPU's arithmetic are others now.

    "" where none is, or none is known to be.
    """
    names = {
        "TensorFlow": environment.tensorflow_version,
        "the kind of device": _device_kind,
        "the processor's arithmetic": _arithmetic,
    }
    pairs = [(name, value(before), value(start)) for name, value in names.items()]
    different = [
        f"{name} has become {new}, from {old}" for name, old, new in pairs if old and old != new
    ]
    return " and ".join(different)


def _arithmetic(start: Mapping[str, Any]) -> str:
    return environment.arithmetic(start) if _device_kind(start) == "CPU" else ""


def _device_kind(start: Mapping[str, Any]) -> str:
    """Returns the kind, of older records, which do not tell it, as the devices are called."""
    if kind := start.get("device_kind"):
        return kind
    found = re.search(r"(CPU|GPU|TPU)", " ".join(start["devices"]))
    return found.group() if found else "unknown"
