"""JSON files that a run has left, read with an error that names the damaged one."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from etils import epath

from trainer.system.errors import UsageError

REMEDY = "train or evaluate the run again"
LONGEST = 100  # characters of a reason in a warning
# What the content of a damaged file makes of code that interprets it; the last two by deep nesting
# and by numbers such as 1e999.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError)


def read(file: epath.Path, kind: type = dict, *, remedy: str = REMEDY) -> Any:
    """Returns the content of a JSON file of a run.

    Args:
      file: local or in a bucket.
      kind: of the content, dict or list.
      remedy: what the user can do where it is damaged.

    Raises:
      UsageError: the file cannot be read, or its content is of another kind.
    """
    with damage_reported(file, remedy):
        content = json.loads(file.read_text())
        if not isinstance(content, kind):
            expected = "an object" if kind is dict else "a list"
            raise ValueError(f"it holds {type(content).__name__}, not {expected}")
        return content


def set_aside_if_damaged(
    file: epath.Path, interpret: Callable[[Any], object], consequence: str
) -> bool:
    """Returns whether `file` is there and whole; a damaged one is kept aside, with a warning.

    Args:
      file: a record that can be made anew.
      interpret: raises one of DAMAGE if the content is not as a run wrote it.
      consequence: of its damage, for the warning.
    """
    if not file.exists():
        return False
    try:
        interpret(json.loads(file.read_text()))
        return True
    except DAMAGE as error:
        numbered = (file.with_name(f"{file.stem}.damaged-{n}.json") for n in count(1))
        aside = next(name for name in numbered if not name.exists())
        file.rename(aside)
        reason = (str(error) or repr(error)).splitlines()[0][:LONGEST]
        print(
            f"warning: {file} was damaged ({reason}) and is kept as {aside.name}: {consequence}.",
            file=sys.stderr,
        )
        return False


@contextmanager
def damage_reported(file: epath.PathLike, remedy: str = REMEDY) -> Iterator[None]:
    """Raises a UsageError that names the file where its content is not as a run wrote it.

    Args:
      file: whose content is interpreted inside.
      remedy: what the user can do.
    """
    try:
        yield
    except (OSError, *DAMAGE, UsageError) as error:
        reason = (str(error) or repr(error)).splitlines()[0].rstrip(".")
        if isinstance(error, LookupError):
            reason = f"{reason} is missing"
        raise UsageError(f"{file} cannot be read ({reason}): {remedy}.") from error
