"""Command, versions, devices and commit of a run, to repeat it by."""

import importlib.metadata
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

# The commit that a container image was built from, "-dirty" with changes on top; see Dockerfile.
COMMIT = "TRAINER_COMMIT"
PACKAGES = ("tensorflow", "tensorflow-cpu", "tensorflow-tpu", "keras", "numpy")


def describe(devices: Sequence[str]) -> dict:
    """Returns the content of `environment.json`: command, versions, devices, git commit, time."""
    versions = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "command": shlex.join(["python", "-m", "trainer.task", *sys.argv[1:]]),
        "versions": versions,
        "devices": list(devices),
        "git_commit": _git_commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


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
