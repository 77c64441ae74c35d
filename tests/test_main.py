"""The one door to all programs."""

import pkgutil
import subprocess
import sys

import pytest

from trainer import commands
from trainer.__main__ import COMMANDS


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_module_of_commands_is_a_command():
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    shared = {"config_flags", "program", "set_up", "source_flags"}
    assert modules - shared == set(COMMANDS) - {"train"}


@pytest.mark.parametrize(
    ("arguments", "reason"), [([], "is missing"), (["trian"], "'trian' is not")]
)
def test_unknown_command_ends_with_the_list_of_commands(arguments, reason):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert reason in done.stderr and all(command in done.stderr for command in COMMANDS)


def test_help_of_the_package_describes_every_command():
    assert all(f"\n{command} " in run("--help").stdout for command in COMMANDS)


@pytest.mark.parametrize(
    ("command", "flag"), [("report", "--image"), ("prepare", "--max_side"), ("launch", "--workers")]
)
def test_help_of_a_command_shows_its_own_flags(command, flag):
    assert flag in run(command, "--help").stdout
