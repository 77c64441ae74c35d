"""Every command that the documents show is one that the program takes, as it is written."""

import json
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

# Parses each list of arguments as the command does, and then does nothing; its flags are the only
# ones of the process.
PARSE = """
import json, os, sys
from importlib import import_module
from trainer.commands.command import COMMANDS
module = import_module(COMMANDS[sys.argv[1]].module)
module.main = lambda argv: print("taken")
for arguments in json.loads(sys.argv[2]):
    if not os.fork():
        sys.argv = ["radiograph", *arguments]
        module.run()
    os.wait()
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


def parsed(command: str, *lines: list[str]) -> subprocess.CompletedProcess:
    program = [sys.executable, "-c", PARSE, command, json.dumps(lines)]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_documents_show_each_command():
    assert {line.split()[0] for line in documented()} == {*COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_documented_commands_are_taken_as_they_are_written(command: str):
    written = [shlex.split(line, comments=True) for line in documented()]
    lines = [arguments for name, *arguments in written if name == command]
    if command == "train":
        launched = [arguments for name, *arguments in written if name == "launch"]
        lines += [arguments[arguments.index("--") + 1 :] for arguments in launched]
    done = parsed(command, *lines)
    assert lines and done.stdout == "taken\n" * len(lines), done.stderr


def test_a_command_that_is_not_taken_is_found():
    done = parsed("train", ["--config=resnet", "--workdir=RUN", "--config.train.epoch=3"])
    assert not done.stdout and "did you mean" in done.stderr
