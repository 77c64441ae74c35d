"""How every program of the package starts and ends: flags in, one sentence and a code out."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from absl import app, flags

from trainer import bucket, quiet


class Ending(Exception):
    """Why a program ends early, in one sentence: what is wrong, where, what to do."""

    exit_code = 1


class Refusal(Ending):
    """A user's mistake; the sentence says what is allowed."""

    exit_code = 2


# The codes below are those of sysexits.h, so that a scheduler can tell what to do.


class NotFinite(Ending):
    """The loss has become infinite or no number; to start again would not help."""

    exit_code = 65


class DataLost(Ending):
    """The prepared data set cannot be read any more."""

    exit_code = 66


class Unavailable(Ending):
    """A service or the network does not answer, or not now; the same command may work later."""

    exit_code = 69


class CheckpointsDamaged(Ending):
    """There are checkpoints, but none that verifies."""

    exit_code = 70


class CannotWrite(Ending):
    """The work directory takes no more: the disk is full, or it may not be written."""

    exit_code = 74


class PeerLost(Ending):
    """Another worker is gone; to start all of them again goes on from the newest checkpoint."""

    exit_code = 75


class Stopped(Ending):
    """A signal asked to stop: 128 + its number, as shells and schedulers have it."""

    def __init__(self, number: signal.Signals, sentence: str = ""):
        super().__init__(sentence or f"by {number.name}; the same command goes on from there.")
        self.number = number
        self.exit_code = 128 + number


def run(
    main: Callable[[Sequence[str]], None],
    parse: Callable[[Sequence[str]], Sequence[str]] | None = None,
    arguments: Sequence[str] = (),
) -> None:
    """Parses flags, calls `main`, and on an Ending exits with its code and its one sentence.

    Args:
      main: takes the program's name and the arguments that are left after flags.
      parse: parses the command line in place of absl's own parser.
      arguments: names of those arguments, all of which must be given; where the last ends in
        "...", one or more of it.
    """

    def parse_flags(argv: Sequence[str]) -> Sequence[str]:
        with _ending():
            try:
                return (parse or flags.FLAGS)(list(argv))
            except flags.Error as mistake:
                raise Refusal(str(mistake)) from mistake

    def guarded(argv: Sequence[str]) -> None:
        quiet.set_levels(verbosity())
        with _ending():
            _check_given(argv[1:], arguments)
            main(argv)

    app.run(guarded, flags_parser=parse_flags)


def verbosity() -> int:
    """Returns how much the user wants to see, once flags are parsed.

    Below 0 results and errors alone, 0 the progress too, 1 or more what the libraries log too.
    """
    flag = flags.FLAGS["verbosity"]  # absl's own, which without one is -1
    return flag.value if flag.present else 0


def _check_given(given: Sequence[str], arguments: Sequence[str]) -> None:
    """Raises a Refusal unless each argument is given, and no other."""
    names = [name.removesuffix("...") for name in arguments]
    repeated = list(arguments) != names
    if len(given) > len(names) and not repeated:
        surplus = given[len(names)]
        raise Refusal(f"unexpected argument {surplus!r}: use --name=value flags (--help).")
    if len(given) < len(names):
        usage = " ".join([*names, f"[{names[-1]} ...]"] if repeated else names)
        raise Refusal(f"{names[len(given)]} is missing: give {usage}.")


@contextmanager
def ending_at_signals(left: str) -> Iterator[None]:
    """Turns SIGTERM and SIGINT into an ending, after all on the way has cleared up.

    They are raised as KeyboardInterrupt, which no library takes for an error to wrap.

    Args:
      left: what is left behind, as in "nothing was written".

    Raises:
      Stopped: where one came.
    """
    received = []

    def interrupt(number: int, frame: object) -> None:
        del frame
        received.append(signal.Signals(number))
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped(received[0], f"by {received[0].name}; {left}.") from None


def of_bucket(error: Exception, otherwise: type[Ending]) -> type[Ending]:
    """Returns Unavailable where a bucket's error may pass by itself, and `otherwise` elsewhere."""
    return Unavailable if bucket.passes(error) else otherwise


@contextmanager
def _ending() -> Iterator[None]:
    """Exits at an Ending, at Ctrl-C, and where a bucket that is read cannot be used."""
    try:
        yield
    except Ending as ending:
        _end(ending)
    except KeyboardInterrupt:
        _end(Stopped(signal.SIGINT))
    except Exception as error:
        if said := bucket.reason(error):
            _end(of_bucket(error, Refusal)(f"a bucket cannot be used ({said})."))
        raise


def _end(ending: Ending) -> None:
    word = "stopped" if isinstance(ending, Stopped) else "error"
    print(f"{word}: {ending}", file=sys.stderr, flush=True)
    if isinstance(ending, PeerLost):
        sys.stdout.flush()
        os._exit(ending.exit_code)  # TensorFlow's own shutdown would wait for the lost worker
    sys.exit(ending.exit_code)
