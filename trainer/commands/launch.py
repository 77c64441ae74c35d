"""Trains with several workers on this machine: `radiograph launch --workers=2 -- FLAGS`.

Each worker is a process that runs trainer.task with the flags after `--`; together they train one
network. When a worker dies, all are started again and resume from the newest checkpoint. A job that
saves one now and then may lose workers as often as it likes.
"""

import os
import sys
from collections.abc import Sequence
from functools import partial

from absl import flags
from etils import epath, epy

from trainer.commands import program, run_loggers
from trainer.commands.command import COMMANDS
from trainer.distribute.local_workers import launch, visible_gpus
from trainer.system.errors import UsageError
from trainer.training import run_checks
from trainer.training.run_paths import run_paths

with epy.lazy_imports():  # it defines the flags of the task, when those of the launcher are read
    from trainer.commands import config_flags

USAGE = "radiograph launch --workers=2 -- --config=resnet --config.data.path=DATA --workdir=RUN"

_WORKERS = flags.DEFINE_integer("workers", 1, "processes to start", lower_bound=1, upper_bound=64)
_DEVICES = flags.DEFINE_integer(
    "devices", 1, "devices of each worker: GPUs or, without any, logical CPU devices", 1, 64
)
_MAX_RESTARTS = flags.DEFINE_integer(
    "max_restarts", 3, "how often they are started again without a new checkpoint", lower_bound=0
)
_GRACE_SECONDS = flags.DEFINE_float(
    "grace_seconds",
    60.0,
    "how long the others may take to end after a worker has died",
    lower_bound=0,
)


def task_command(task_flags: Sequence[str], devices: int) -> list[str]:
    """Returns the command of a worker.

    Args:
      task_flags: the user's flags of trainer.task.
      devices: of each worker.

    Raises:
      UsageError: if the flags set the number of logical CPU devices, which `devices` does.
    """
    given = {flag.lstrip("-").partition("=")[0] for flag in task_flags}
    strategy, cpu_devices = "config.distribute.strategy", "config.distribute.cpu_devices"
    if cpu_devices in given:
        raise UsageError(
            f"--{cpu_devices} is set by the launcher: give --devices before -- instead."
        )
    command = [sys.executable, "-m", "trainer.task", *task_flags]
    if strategy not in given:
        command.append(f"--{strategy}=multi_worker")
    if not visible_gpus():
        command.append(f"--{cpu_devices}={devices}")
    return command


def newest_checkpoint(workdir: epath.Path) -> str | None:
    """Returns the name of the newest checkpoint of a run, None before the first.

    Here TensorFlow is not imported, which would take longer than to start the workers.
    """
    manifests = (workdir / "checkpoints").glob("step-*/manifest.json")
    return max((manifest.parent.name for manifest in manifests), default=None)


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags before the first `--`, and those of the task after it.

    Raises:
      UsageError: if there are none, or the task has no such flags.
    """
    own, task_flags = program.split(argv)
    rest = flags.FLAGS(own, known_only=True)
    if len(rest) > 1:
        raise UsageError(
            f"{rest[1]!r} is not a flag of the launcher; those of the task follow --: {USAGE}."
        )
    if not task_flags:
        raise UsageError(f"the flags of the task are missing after --: {USAGE}.")
    config_flags.define_task_flags()
    config_flags.parse([argv[0], *task_flags])
    return rest


def main(argv: Sequence[str]) -> None:
    """Launches the workers and ends with their exit code."""
    del argv  # without the flags of the task
    _, task_flags = program.split(sys.argv)
    command, devices = task_command(task_flags, _DEVICES.value), _DEVICES.value
    program.check_needed(config_flags.training(os.environ))
    workdir = run_paths(flags.FLAGS.workdir, os.environ).workdir
    config = config_flags.read()
    run_checks.check(config, workdir)  # once, and not by each worker
    run_loggers.check(config, workdir)
    sys.exit(
        launch(
            command,
            workers=_WORKERS.value,
            devices=devices,
            max_restarts=_MAX_RESTARTS.value,
            grace_seconds=_GRACE_SECONDS.value,
            newest_checkpoint=partial(newest_checkpoint, workdir),
        )
    )


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["launch"], parse_flags)


if __name__ == "__main__":
    run()
