"""Every program refuses in one sentence what it was not made for, and ends with a code."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

PROGRAM = """
import signal
from absl import flags, logging
from trainer.commands import program
from trainer.commands.command import Command
from trainer.system import errors
def main(argv):
    if argv[1:] == ["broken"]:
        raise errors.DataLost("the data is gone.")
    if argv[1:] == ["interrupted"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup ... & has it ignored
        signal.raise_signal(signal.SIGINT)
    if argv[1:] == ["unreadable"]:
        raise OSError(5, "as the system puts it", "RUN/x")
    if argv[1:] == ["full too"]:  # as HDF5 says it
        raise OSError("Can't close file (errno = 28, error message = 'No space left on device')")
    if argv[1:] == ["full"]:  # as TensorFlow says it
        error = RuntimeError()
        error.message = "RUN/x.tempstate1; No space left on device"
        raise error
    print(argv[1:], program.verbosity())
    for level in (logging.error, logging.warning, logging.info, logging.debug):
        level("as %s", level.__name__)
program.run(main, Command(arguments={arguments}))
"""


def program(arguments: Sequence[str], *given: str) -> subprocess.CompletedProcess:
    code = PROGRAM.format(arguments=list(arguments))
    command = [sys.executable, "-c", code, *given]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ((), ()),
        (("OUT", "RUN..."), ("o", "a", "b")),
    ],
)
def test_arguments_are_passed_on(arguments: Sequence[str], given: Sequence[str]):
    done = program(arguments, *given)
    assert done.returncode == 0 and done.stdout == f"{list(given)} 0\n"


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        ((), ("a",), "unexpected argument 'a': use --name=value flags (--help)."),
        (("RUN",), ("a", "b"), "unexpected argument 'b': use --name=value flags (--help)."),
        (("RUN",), (), "RUN is missing: give RUN."),
        (("RUN...",), (), "RUN is missing: give RUN [RUN ...]."),
        (("OUT", "RUN..."), ("o",), "RUN is missing: give OUT RUN [RUN ...]."),
        ((), ("--nothing",), "--nothing is no flag of this command: --help lists"),
        ((), ("--verbosty=1",), "is no flag of this command: did you mean --verbosity?"),
        ((), ("--verbosity=much",), "flag --verbosity=much"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    arguments: Sequence[str], given: Sequence[str], message: str
):
    done = program(arguments, *given)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and message in done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_an_ending_is_one_sentence_and_its_code():
    done = program(("RUN",), "broken")
    assert (done.returncode, done.stderr) == (66, "error: the data is gone.\n")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("unreadable", "RUN/x cannot be used (Input/output error, EIO)"),
        ("full", "a file cannot be used (No space left on device, ENOSPC)"),
        ("full too", "a file cannot be used (No space left on device, ENOSPC)"),
    ],
)
def test_file_that_cannot_be_used_is_one_sentence(fault: str, what: str):
    done = program(("RUN",), fault)
    assert (done.returncode, done.stderr) == (74, f"error: {what}: mend that and try again.\n")


def test_ctrl_c_is_one_sentence_too():
    done = program(("RUN",), "interrupted")
    message = "stopped: by SIGINT; the same command goes on from there.\n"
    assert (done.returncode, done.stderr) == (130, message)


@pytest.mark.parametrize(
    ("flag", "verbosity", "shown"),
    [
        ("--verbosity=-1", -1, ["error"]),
        ("-v=0", 0, ["error", "warning"]),
        ("--verbosity=2", 2, ["error", "warning", "info", "debug"]),
    ],
)
def test_the_verbosity_chooses_the_messages(flag: str, verbosity: int, shown: list[str]):
    done = program((), flag)
    assert done.stdout == f"[] {verbosity}\n"
    assert done.stderr.splitlines() == [f"{level}: as {level}" for level in shown]


def test_without_the_flag_it_is_as_with_0():
    assert program(()).stderr.count("\n") == program((), "--verbosity=0").stderr.count("\n") == 2
