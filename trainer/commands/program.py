"""How every command starts and ends: flags in, one sentence and an exit code out."""

import difflib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NoReturn

from absl import app, flags

from trainer.commands import help_screen, set_up
from trainer.commands.command import Command
from trainer.config import recipe, schema
from trainer.system import gcs
from trainer.system.errors import (
    CannotWrite,
    ExitError,
    Stopped,
    UsageError,
    WorkerLost,
    bucket_error,
    file_error,
)
from trainer.system.printable import printable_lines
from trainer.system.terminal import coloured


def run(
    main: Callable[[Sequence[str]], object],
    command: Command,
    parse: Callable[[Sequence[str]], Sequence[str]] | None = None,
) -> None:
    """Sets the process up, parses flags and calls `main`; an ExitError ends it with its sentence.

    Args:
      main: takes the program's name and its positional arguments.
      command: says which arguments and flags it needs, and what its help shows.
      parse: parses the command line in place of absl's own parser.
    """

    def parse_flags(argv: Sequence[str]) -> Sequence[str]:
        with _exit_on_errors():
            if words := help_screen.asked(argv[1:]):
                _help(command, [argument for argument in argv if argument not in words], words)
            set_up.set_up()
            try:
                given = (parse or flags.FLAGS)(list(argv))
            except flags.UnrecognizedFlagError as mistake:
                raise UsageError(unknown(mistake.flagname)) from mistake
            except flags.Error as mistake:
                raise UsageError(str(mistake)) from mistake
            check_needed(command)
            return given

    def guarded(argv: Sequence[str]) -> None:
        set_up.show_logs(verbosity())
        with _exit_on_errors():
            check_arguments(argv[1:], command.arguments)
            main(argv)

    app.run(guarded, flags_parser=parse_flags)


def verbosity() -> int:
    """Returns --verbosity, once flags are parsed.

    Below 0 shows results and errors alone, 0 progress too, 1 or more what the libraries log too.
    """
    flag = flags.FLAGS["verbosity"]  # absl's own, which without one is -1
    return flags.FLAGS.verbosity if flag.present else 0


def _help(command: Command, argv: Sequence[str], words: set[str]) -> NoReturn:
    """Prints the help of a command, with the values of the recipe that the arguments name."""
    values = dict(schema.fields(schema.default()))
    if "config" in flags.FLAGS:
        with suppress(flags.Error):
            flags.FLAGS(list(argv), known_only=True)
        if flags.FLAGS.config:
            values = dict(schema.fields(recipe.read(flags.FLAGS.config)))
    full = bool(words & help_screen.FULL)
    print(help_screen.screen(command, flags.FLAGS, values, full=full), flush=True)
    sys.exit()


def unknown(name: str, defined: flags.FlagValues = flags.FLAGS) -> str:
    """Returns the sentence for a flag that the command lacks."""
    near = difflib.get_close_matches(name, [*help_screen.own(defined), "verbosity"], n=1)
    advice = f"did you mean --{near[0]}?" if near else "--help lists those that it has."
    return f"--{name} is no flag of this command: {advice}"


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the arguments before the first `--`, and those after it."""
    middle = argv.index("--") if "--" in argv else len(argv)
    return list(argv[:middle]), list(argv[middle + 1 :])


def check_needed(command: Command, given: flags.FlagValues = flags.FLAGS) -> None:
    """Raises a UsageError that names all flags that are missing."""
    missing = [f"--{name}" for name in command.needed if not given[name].value]
    if missing:
        *others, last = missing
        names = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        raise UsageError(f"{names} missing, as in: {command.example}.")


def check_arguments(given: Sequence[str], arguments: Sequence[str]) -> None:
    """Raises a UsageError unless each argument is given, and no other."""
    names = [name.removesuffix("...") for name in arguments]
    repeated = list(arguments) != names
    if len(given) > len(names) and not repeated:
        surplus = given[len(names)]
        raise UsageError(f"unexpected argument {surplus!r}: use --name=value flags (--help).")
    if len(given) < len(names):
        usage = " ".join([*names, f"[{names[-1]} ...]"] if repeated else names)
        raise UsageError(f"{names[len(given)]} is missing: give {usage}.")


@contextmanager
def stop_at_signals(result: str) -> Iterator[None]:
    """Turns SIGTERM and SIGINT into Stopped, after everything has been cleaned up.

    They are raised as KeyboardInterrupt first, which no library mistakes for an error to wrap. A
    second signal ends the process at once, should a library's thread never end.

    Args:
      result: what the program leaves then, as in "nothing was written".

    Raises:
      Stopped: at a signal.
    """
    received = []

    def interrupt(number: int, frame: object) -> None:
        del frame
        received.append(signal.Signals(number))
        handle(signal.SIG_DFL)
        raise KeyboardInterrupt

    def handle(handler: Callable[[int, object], None] | signal.Handlers) -> None:
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signal_number, handler)

    handle(interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(received[0], f"by {received[0].name}; {result}.") from None


@contextmanager
def exit_at_signals(result: str) -> Iterator[None]:
    """Ends the process at once at SIGTERM and SIGINT, waiting for no thread and no request.

    For work that may be killed at any time, as the same command continues it.

    Args:
      result: what is left behind, as in "uploaded files are kept".
    """

    def leave(number: int, frame: object) -> None:
        del frame
        if sys.stdout is not None and sys.stdout.isatty():
            os.write(sys.stdout.fileno(), b"\n")  # after a live line
        sentence = f"stopped: by {signal.Signals(number).name}; {result}.\n"
        os.write(2, sentence.encode())
        os._exit(128 + number)

    former = {n: signal.signal(n, leave) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _exit_on_errors() -> Iterator[None]:
    """Exits at an ExitError, at Ctrl-C, and where a bucket or a file cannot be used."""
    try:
        yield
    except ExitError as error:
        _exit(error)
    except KeyboardInterrupt:
        _exit(Stopped(signal.SIGINT))
    except BrokenPipeError:  # nobody reads on, as of `radiograph train --helpfull | head`
        os._exit(128 + signal.SIGPIPE)
    except Exception as error:
        if reason := gcs.reason(error):
            _exit(bucket_error(error, f"a bucket cannot be used ({reason}).", UsageError))
        if reason := file_error(error):  # TensorFlow raises them as errors of its own
            file = getattr(error, "filename", None) or "a file"
            _exit(CannotWrite(f"{file} cannot be used ({reason}): mend that and try again."))
        raise


def _exit(error: ExitError) -> None:
    word, style = ("stopped", "yellow") if isinstance(error, Stopped) else ("error", "red")
    start = coloured(f"{word}:", style, sys.stderr)
    print(f"{start} {printable_lines(str(error))}", file=sys.stderr, flush=True)
    if isinstance(error, WorkerLost):
        sys.stdout.flush()
        os._exit(error.exit_code)  # TensorFlow's own shutdown would wait for the lost worker
    sys.exit(error.exit_code)
