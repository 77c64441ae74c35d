"""The one door to all programs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.commands.command import COMMANDS
from trainer.config.fields import FIELDS

ROOT = Path(__file__).parents[1]
WITHOUT_PACKAGES = """
import sys
sys.path.insert(0, sys.argv.pop())
sys.argv[1:] = ["train"]
from trainer.__main__ import main
main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "trainer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def joined(text: str) -> str:
    """Returns lines as a shell reads them."""
    return re.sub(r" \\\n +", " ", text)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_every_command_is_listed_with_an_example(arguments: list[str]):
    done = run(*arguments)
    assert done.returncode == 0
    for name, command in COMMANDS.items():
        assert f"\n{name} " in done.stdout and command.example in joined(done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_list_that_nobody_reads_to_its_end_is_no_error():
    with subprocess.Popen(
        [sys.executable, "-m", "trainer"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_unknown_command_ends_with_the_list_of_commands():
    done = run("trian")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ("'trian'", *COMMANDS))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_one_screen_of_its_own_flags(name: str):
    done = run(name, "--help")
    example, *lines = joined(done.stdout).splitlines()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert (done.returncode, done.stderr, example) == (0, "", COMMANDS[name].example)
    shown = re.findall(r"^  --(?:\[no\])?([\w.]+)", done.stdout, re.MULTILINE)
    wanted = [*COMMANDS[name].needed, *COMMANDS[name].common]
    assert shown[: len(wanted)] == wanted
    assert len(lines) < 60 and len({*shown}) == len(shown)
    assert not {*shown} & {"pdb", "logtostderr", "only_check_args"}  # absl's


def test_full_help_lists_each_field_with_the_values_of_the_recipe():
    given = ([], ["--config=article"])
    plain, article = (run("train", "--helpfull", *some).stdout for some in given)
    for path in FIELDS:
        assert f"--config.{path}=" in plain or f"--[no]config.{path}" in plain
    assert "passes over the training set (20; a whole number" in " ".join(plain.split())
    assert "passes over the training set (25; a whole number" in " ".join(article.split())


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["prepare"], ["--source", "--out"]),
        (["submit", "--config=resnet"], ["--workdir", "--accelerator"]),
        (["train"], ["--config", "--workdir"]),
    ],
)
def test_all_that_is_missing_is_asked_for_at_once(arguments: list[str], missing: list[str]):
    done = run(*arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {' and '.join(missing)} are ")


@pytest.mark.parametrize(
    "arguments", [["prepare", "--help"], ["train", "--helpfull"], ["submit"], ["audit", "--hepl"]]
)
def test_help_and_mistakes_wait_for_no_large_library(arguments: list[str]):
    command = [sys.executable, "-X", "importtime", "-m", "trainer", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "absl.flags" in imported
    assert not imported & {"tensorflow", "pydicom", "scipy", "google.cloud.storage", "matplotlib"}


def test_a_python_without_the_packages_is_told_what_to_do():
    program = [sys.executable, "-I", "-S", "-c", WITHOUT_PACKAGES, str(ROOT)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "scripts/setup.sh" in done.stderr and "Traceback" not in done.stderr
