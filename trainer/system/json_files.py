"""JSON files that a run has left, read with an error that names the damaged one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from etils import epath

from trainer.system.errors import UsageError


def read(file: epath.Path) -> Any:
    """Returns the content of a JSON file of a run.

    Raises:
      UsageError: the file cannot be read.
    """
    with damage_reported(file):
        return json.loads(file.read_text())


@contextmanager
def damage_reported(file: epath.PathLike) -> Iterator[None]:
    """Raises a UsageError that names the file where its content is not as a run wrote it.

    Args:
      file: whose content is interpreted inside.
    """
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError, AttributeError, UsageError) as error:
        reason = (str(error) or repr(error)).splitlines()[0].rstrip(".")
        raise UsageError(
            f"{file} cannot be read ({reason}): train or evaluate the run again."
        ) from error
