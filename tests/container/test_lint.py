"""The Dockerfile and the scripts satisfy those who know better: hadolint and shellcheck."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*ROOT.glob("scripts/*.sh"), ROOT / "requirements/compile.sh", ROOT / ".ci/run"]


def linter(name: str) -> Path:
    """Returns a linter of the test set's; skips where a clone's own environment has none."""
    program = Path(sys.executable).with_name(name)
    if not program.exists():
        pytest.skip(f"needs {name}, of requirements/test.txt")
    return program


def test_hadolint_has_nothing_against_the_dockerfile():
    done = subprocess.run([linter("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_shellcheck_has_nothing_against_the_scripts():
    done = subprocess.run([linter("shellcheck"), *SCRIPTS], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stdout
