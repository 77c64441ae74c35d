"""JSON files that a run has left, read with an error that names the damaged one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from trainer.system.errors import UsageError

REMEDY = "train or evaluate the run again"
# What the content of a damaged file makes of code that interprets it; the last by deep nesting.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


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
