"""Files that are there whole or not at all: written under a temporary name and renamed."""

import json
from typing import Any

from etils import epath


def write_text(file: epath.Path, text: str) -> epath.Path:
    """Writes `text` to `file` in place of what it held, and returns `file`."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(text)
    return temporary.replace(file)


def write_json(file: epath.Path, content: Any) -> epath.Path:
    """Writes `content` as indented JSON."""
    return write_text(file, json.dumps(content, indent=2) + "\n")
