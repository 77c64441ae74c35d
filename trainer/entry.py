"""How every program of the package starts: flags in, one sentence out when a user errs."""

import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging


class Refusal(Exception):
    """A user's mistake in one sentence: what is wrong, where, what is allowed, what to do."""


def run(
    main: Callable[[Sequence[str]], None],
    parse: Callable[[Sequence[str]], Sequence[str]] | None = None,
    arguments: Sequence[str] = (),
) -> None:
    """Parses flags, calls `main`, and ends with exit code 2 and one sentence on a Refusal.

    Args:
      main: takes the program's name and the arguments that are left after flags.
      parse: parses the command line in place of absl's own parser.
      arguments: names of those arguments; all must be given.
    """

    def parse_flags(argv: Sequence[str]) -> Sequence[str]:
        try:
            return (parse or flags.FLAGS)(list(argv))
        except (flags.Error, Refusal) as mistake:
            _end(mistake)

    def guarded(argv: Sequence[str]) -> None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)
        try:
            given = len(argv) - 1
            if given > len(arguments):
                surplus = argv[len(arguments) + 1]
                raise Refusal(f"unexpected argument {surplus!r}: use --name=value flags (--help).")
            if given < len(arguments):
                raise Refusal(f"{arguments[given]} is missing: give {' '.join(arguments)}.")
            main(argv)
        except Refusal as refusal:
            _end(refusal)

    app.run(guarded, flags_parser=parse_flags)


def _end(mistake: Exception) -> None:
    print(f"error: {mistake}", file=sys.stderr, flush=True)
    sys.exit(2)
