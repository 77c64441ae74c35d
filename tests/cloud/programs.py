"""`python -m trainer COMMAND` in a fork of a process that has the cloud's libraries imported.

A process of its own, as two commands may not define a flag twice, without two seconds of imports.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 120
LIBRARIES = ["trainer.cloud.platform", "trainer.cloud.upload", "trainer.commands.program"]


def run(
    *arguments: str, environment: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess:
    """Runs the program with these arguments in `folder`, and returns what it has printed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    outputs = [folder / f".{name}" for name in ("stdout", "stderr")]
    process = context.Process(
        target=_run, args=(list(arguments), dict(environment), folder, *outputs)
    )
    process.start()
    process.join(SECONDS)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"{arguments} has not ended")
    stdout, stderr = (file.read_text() for file in outputs)
    for file in outputs:
        file.unlink()
    return subprocess.CompletedProcess(arguments, process.exitcode, stdout, stderr)


def _run(
    arguments: list[str], environment: dict[str, str], folder: Path, out: Path, err: Path
) -> None:
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(ROOT))
    sys.argv = ["trainer", *arguments]
    try:
        runpy.run_module("trainer", run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
