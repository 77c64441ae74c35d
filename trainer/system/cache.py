"""Where what can be fetched again is kept on this machine."""

import os
from pathlib import Path

from trainer.system.errors import UsageError


def folder() -> Path:
    """Returns radiograph-trainer/ in $XDG_CACHE_HOME, or in ~/.cache.

    Raises:
      UsageError: if there is neither.
    """
    try:
        above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # no HOME, and no entry in passwd
        raise UsageError(
            "what is fetched is kept in the home folder, and this user has none: set the"
            " environment variable XDG_CACHE_HOME to a folder."
        ) from None
    return Path(above) / "radiograph-trainer"
