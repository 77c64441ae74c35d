"""Flags that name files and folders: "~" at their start is the user's home folder."""

import os
from typing import Any

from absl import flags

from trainer.system.errors import UsageError

flags.disclaim_key_flags()  # they are key flags of the modules that define them here


class PathParser(flags.ArgumentParser[str]):
    """Reads a path."""

    def parse(self, argument: str) -> str:
        """Returns the path with the home folder in place of "~"."""
        return expand(argument)

    def flag_type(self) -> str:
        """Returns what the value is called."""
        return "path"


def define_path(
    name: str, default: str | None, meaning: str, **options: Any
) -> flags.FlagHolder[Any]:
    """Defines a flag for a path, with the options of absl's own DEFINE functions."""
    serializer: flags.ArgumentSerializer[str] = flags.ArgumentSerializer()
    return flags.DEFINE(PathParser(), name, default, meaning, serializer=serializer, **options)


def define_paths(name: str, meaning: str, **options: Any) -> flags.FlagHolder[Any]:
    """Defines a flag for paths that may be repeated."""
    return flags.DEFINE_multi(
        PathParser(), flags.ArgumentSerializer(), name, [], meaning, **options
    )


def expand(path: str) -> str:
    """Returns a path, or another kind of name, with the home folder in place of a "~" it begins by.

    The shell does so only where the path is a word of its own, not in --out=~/data.

    Raises:
      UsageError: if this user has no home folder.
    """
    expanded = os.path.expanduser(path)
    if expanded == path and path.split("/")[0] == "~":
        raise UsageError(
            f"{path} cannot be found, as this user has no home folder: give it in full."
        )
    return expanded
