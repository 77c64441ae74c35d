"""The files of decoded pixels that runs with data.cache=disk or auto keep: lists or removes them.

radiograph cache list              those in the user's cache, of data sets in buckets
radiograph cache list DATA         and those of a prepared data set
radiograph cache clear DATA        removes them; a run that is at work goes on
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from absl import flags
from etils import epy

from trainer.commands import path_flags, program
from trainer.commands.command import COMMANDS
from trainer.data import summary_file
from trainer.system import cache, memory, terminal
from trainer.system.errors import CannotWrite, UsageError

with epy.lazy_imports():  # NumPy
    from trainer.data import pixel_file

VERBS = ("list", "clear")


def parse_flags(argv: Sequence[str]) -> Sequence[str]:
    """Parses the flags, and raises a UsageError unless a verb comes first."""
    rest = flags.FLAGS(list(argv))
    if len(rest) < 2 or rest[1] not in VERBS:
        raise UsageError("give list or clear, and perhaps prepared data sets, as in list DATA.")
    return rest


def main(argv: Sequence[str]) -> None:
    """Lists or removes the files in the user's cache and in the data sets that are named."""
    verb, *named = argv[1:]
    for folder in map(folder_in, named or [""]):
        found = pixel_file.listed(folder)
        taken = memory.gib(sum(one.bytes for one in found))
        if verb == "clear":
            try:
                pixel_file.remove_oldest(folder, room=0)
            except OSError as error:
                raise CannotWrite(f"{error.filename} stays: {error.strerror}.") from error
        print(f"{folder}: {taken} in {len(found)} files{' removed' if verb == 'clear' else ''}")
        if verb == "list" and found:
            print(table(found))


def folder_in(data_set: str) -> Path:
    """Returns the folder of the files in a data set, or in the user's cache where none is named.

    Raises:
      UsageError: if it is no prepared data set.
    """
    if not data_set:
        return cache.folder() / pixel_file.FOLDER
    path = summary_file.root(path_flags.expand(data_set))
    if not summary_file.read(path):
        raise UsageError(f"{data_set} holds no prepared data set: give the --out of prepare.")
    return Path(path) / pixel_file.FOLDER


def table(found: "Sequence[pixel_file.Found]") -> str:
    """Returns the files as a table for a terminal, the newest first."""
    rows = [
        (
            one.file.name,
            memory.gib(one.bytes),
            f"{datetime.fromtimestamp(one.used):%Y-%m-%d %H:%M}",
        )
        for one in reversed(found)
    ]
    return terminal.aligned([("file", "size", "last used"), *rows], left=1)


def run() -> None:
    """Runs this command with the arguments of the process."""
    program.run(main, COMMANDS["cache"], parse_flags)


if __name__ == "__main__":
    run()
