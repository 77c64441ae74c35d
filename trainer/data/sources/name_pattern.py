"""A user's regular expression that finds something in the names of files."""

import re
from collections.abc import Callable, Sequence

from trainer.system.errors import UsageError


def finder(names: Sequence[str], pattern: str, *, flag: str, group: str) -> Callable[[str], str]:
    """Returns a function that finds in a path what a pattern means, or "".

    That is the named group, or the first group, or the whole match, in the file's name. A pattern
    that matches no file's name, as one with folders in it, is looked for in the paths.

    Args:
      names: paths of all files.
      pattern: the regular expression.
      flag: that gave it, for messages.
      group: the group's name, and what is looked for.

    Raises:
      UsageError: if the pattern is invalid, or finds nothing in any name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as mistake:
        raise UsageError(f"--{flag}={pattern} is not a regular expression: {mistake}.") from None

    def in_path(name: str) -> str:
        match = compiled.search(name)
        if not match:
            return ""
        named = group in compiled.groupindex
        return match[group if named else 1 if compiled.groups else 0] or ""

    def in_file(name: str) -> str:
        return in_path(name.replace("\\", "/").rpartition("/")[2])

    for found in (in_file, in_path):
        if any(map(found, names)):
            return found
    raise UsageError(
        f"--{flag}={pattern} finds no {group} in any name, such as {names[0]!r}: it must match a "
        "part of it."
    )
