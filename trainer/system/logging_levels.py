"""Keeps the terminal free of what libraries log for their own developers, unless it is asked for.

TensorFlow obeys TF_CPP_MIN_LOG_LEVEL only once it is loaded. What it logs while it is loaded comes
all the same, past Python, straight from C.
"""

import logging
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from itertools import zip_longest
from types import ModuleType

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
ASKED = ("0", "1")  # the levels that show information or warnings
STDERR = 2
WAIT_SECONDS = 1.0

# How lines begin that LEVEL would hold back, and errors that every TensorFlow for GPUs logs.
NOISE = re.compile(
    rb"""
    WARNING:\ All\ log\ messages\ before\ absl::InitializeLog
    | [IW]\d{4}\ \d\d:\d\d:\d\d                         # absl's information and warnings
    | \d{4}-\d\d-\d\d\ \d\d:\d\d:\d\d\.\d+:\ [IW]\      # TensorFlow's own
    | To\ enable\ the\ following\ instructions:         # the second line of one
    | .*Unable\ to\ register\ cu\w+\ factory
    | .*computation\ placer\ already\ registered
    """,
    re.VERBOSE,
)


def begin(arguments: Sequence[str]) -> None:
    """Makes TensorFlow quiet, whenever it is imported; to be called before that.

    The log level is set for all processes that are started from here too. One that the user has
    set stands.

    Args:
      arguments: the command line, whose --verbosity above 0 shows everything.
    """
    level = os.environ.setdefault(LEVEL, "0" if verbosity(arguments) > 0 else "2")
    if level not in ASKED:
        warnings.filterwarnings("ignore", "Protobuf gencode version", UserWarning)
        sys.meta_path.insert(0, _Finder())


def verbosity(arguments: Sequence[str]) -> int:
    """Returns the --verbosity of a command line that is not parsed yet; 0 without one."""
    found = 0
    for word, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if flag := re.fullmatch(r"--?v(?:erbosity)?(?:=(.*))?", word):
            with suppress(ValueError):  # the parser of flags will tell
                found = int(following if flag[1] is None else flag[1])
    return found


def set_levels(verbosity: int) -> None:
    """Sets from which level on Python's loggers are shown.

    Args:
      verbosity: below 0 errors alone, 0 warnings too, 1 what the libraries log too, 2 all.
    """
    logging.getLogger().setLevel(max(logging.WARNING - 10 * verbosity, logging.DEBUG))
    if verbosity < 1:  # its warnings, such as of retracing, are for whoever wrote the program
        logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextmanager
def stderr_without(noise: re.Pattern[bytes]) -> Iterator[None]:
    """Leaves out lines that begin with `noise` from what is written to stderr, by C code too.

    A process of its own passes on the others. It ends when nobody can write to it any more, so
    that what a crash leaves behind is shown to the last byte.
    """
    diverted = _divert(noise)
    try:
        yield
    finally:
        if diverted:
            _restore(*diverted)


def _divert(noise: re.Pattern[bytes]) -> tuple[int, int] | None:
    """Returns a file descriptor of the real stderr and the process that passes lines on to it."""
    _flush()
    try:
        shown = os.dup(STDERR)
        read_end, write_end = os.pipe()
        process = os.fork()
    except OSError:  # stderr is closed, or there may be no more processes
        return None
    if process == 0:
        os.close(write_end)
        _pass_on(read_end, noise)
    os.setpgid(process, process)  # what stops the program's group must not stop this one first
    os.close(read_end)
    os.dup2(write_end, STDERR)
    os.close(write_end)
    return shown, process


def _pass_on(read_end: int, noise: re.Pattern[bytes]) -> None:
    """Passes on all other lines until there can be no more, and ends this process."""
    try:
        for number in (signal.SIGTERM, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        with open(read_end, "rb") as lines:
            for line in lines:
                if not noise.match(line):
                    with suppress(OSError):
                        os.write(STDERR, line)
    finally:
        os._exit(0)


def _restore(shown: int, process: int) -> None:
    _flush()
    os.dup2(shown, STDERR)
    os.close(shown)
    deadline = time.monotonic() + WAIT_SECONDS  # a process started meanwhile may still write
    with suppress(ChildProcessError):
        while not os.waitpid(process, os.WNOHANG)[0] and time.monotonic() < deadline:
            time.sleep(0.0005)


def _flush() -> None:
    if sys.stderr:
        with suppress(OSError, ValueError):  # it is broken or closed
            sys.stderr.flush()


class _Finder:
    """Finds TensorFlow as the other finders do, and makes its loading quiet."""

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec and spec.loader:
            spec.loader.exec_module = _quiet(spec.loader.exec_module)
        return spec


def _quiet(load: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def exec_module(module: ModuleType) -> None:
        with stderr_without(NOISE):
            load(module)

    return exec_module
