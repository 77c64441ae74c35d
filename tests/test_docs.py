"""Every command that the documents show is one that the program takes, as it is written."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.commands.command import COMMANDS

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"^(?:\S*/)?radiograph (?!COMMAND)(.*)$", re.MULTILINE)

# Parses the arguments as the command does, and then does nothing.
PARSE = """
import sys
from importlib import import_module
from trainer.commands.command import COMMANDS
module = import_module(COMMANDS[sys.argv.pop(1)].module)
module.main = lambda argv: print("taken")
module.run()
"""


def documented() -> list[str]:
    """Returns the arguments of each command in README, in docs/ and in the configs, once each."""
    texts = [
        block
        for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
        for block in BLOCK.findall(page.read_text())
    ]
    texts += [file.read_text() for file in sorted((ROOT / "configs").glob("*.py"))]
    texts += [command.example for command in COMMANDS.values()]
    joined = [text.replace("\\\n", "") for text in texts]  # as the shell does
    return list(dict.fromkeys(line for text in joined for line in COMMAND.findall(text)))


def parsed(command: str, *arguments: str) -> subprocess.CompletedProcess:
    program = [sys.executable, "-c", PARSE, command, *arguments]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_documents_show_each_command():
    assert {line.split()[0] for line in documented()} == {*COMMANDS}


@pytest.mark.parametrize("line", documented())
def test_a_documented_command_is_taken_as_it_is_written(line: str):
    command, *arguments = shlex.split(line, comments=True)
    done = parsed(command, *arguments)
    assert done.stdout == "taken\n", done.stderr
    if command == "launch":
        done = parsed("train", *arguments[arguments.index("--") + 1 :])
        assert done.stdout == "taken\n", done.stderr


def test_a_command_that_is_not_taken_is_found():
    done = parsed("train", "--config=resnet", "--workdir=RUN", "--config.train.epoch=3")
    assert done.returncode == 2 and not done.stdout
