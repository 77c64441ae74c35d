"""Files that are there whole or not at all: written under a temporary name and renamed.

In a bucket every file is: one that is written there appears when all of it has arrived.
"""

import json
from typing import Any

from etils import epath

from trainer.system import gcs


def write_bytes(file: epath.Path, content: bytes) -> epath.Path:
    """Writes `content` to `file` in place of what it held, and returns `file`.

    The folders above it are made where they are missing.
    """
    gcs.make_folder(file.parent)
    if gcs.is_gcs(file):
        file.write_bytes(content)
        return file
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(content)
    return temporary.replace(file)


def write_text(file: epath.Path, text: str) -> epath.Path:
    """Writes `text` as UTF-8."""
    return write_bytes(file, text.encode())


def write_json(file: epath.Path, content: Any) -> epath.Path:
    """Writes `content` as indented JSON."""
    return write_text(file, json.dumps(content, indent=2) + "\n")
