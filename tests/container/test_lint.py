"""The Dockerfile and the scripts satisfy those who know better: hadolint and shellcheck."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*ROOT.glob("scripts/*.sh"), ROOT / "requirements/compile.sh", ROOT / ".ci/run"]


def complaints(linter: str, *files: Path) -> str:
    """Returns what a linter of the test set says; skips where there is none."""
    program = Path(sys.executable).with_name(linter)
    if not program.exists():
        pytest.skip(f"needs {linter}, of requirements/test.txt")
    done = subprocess.run([program, *files], capture_output=True, text=True, timeout=100)
    return done.stdout if done.returncode else ""


def test_hadolint_has_nothing_against_the_dockerfile():
    assert not complaints("hadolint", ROOT / "Dockerfile")


def test_shellcheck_has_nothing_against_the_scripts():
    assert not complaints("shellcheck", *SCRIPTS)
