"""Where what can be fetched again is kept on this machine."""

import os
from pathlib import Path


def folder() -> Path:
    """Returns radiograph-trainer/ in $XDG_CACHE_HOME, or in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "radiograph-trainer"
