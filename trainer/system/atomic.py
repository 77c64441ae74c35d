"""Atomic writes: a file is written under a temporary name, flushed to the disk, then renamed.

In a bucket every write is atomic: a file appears there when all of it has arrived.
"""

import json
import os
import re
import secrets
from contextlib import suppress
from typing import Any

from etils import epath

from trainer.system import gcs

TEMPORARY = re.compile(r"\.radiograph-trainer-[0-9a-f]{16}\.tmp")  # no file of the user's


def write_bytes(file: epath.Path, content: bytes) -> epath.Path:
    """Writes `content` to `file` in place of what it held, and returns `file`.

    The folders above it are made where they are missing. If it cannot be written, what `file`
    held stays, no temporary file does, and the OSError names `file`.
    """
    gcs.make_folder(file.parent)
    if gcs.is_gcs(file):
        file.write_bytes(content)
        return file
    temporary = file.with_name(f".radiograph-trainer-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        return temporary.replace(file)
    except BaseException as error:
        with suppress(OSError):  # a folder that cannot be written to
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror, str(file)) from error
        raise


def write_text(file: epath.Path, text: str) -> epath.Path:
    """Writes `text` as UTF-8."""
    return write_bytes(file, text.encode())


def write_json(file: epath.Path, content: Any) -> epath.Path:
    """Writes `content` as indented JSON."""
    return write_text(file, json.dumps(content, indent=2) + "\n")


def remove_leftovers(folder: epath.Path) -> None:
    """Removes the temporary files below `folder` that killed processes left behind.

    Must be called where no other process writes, as with the folder's lock.
    """
    if gcs.is_gcs(folder):
        return
    for parent, _, names in os.walk(folder):
        for name in filter(TEMPORARY.fullmatch, names):
            os.unlink(os.path.join(parent, name))
