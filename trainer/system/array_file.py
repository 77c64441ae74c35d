"""Arrays that a run keeps in one `.npz` file, with the version of what they mean."""

import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from etils import epath

from trainer.system import atomic, json_files
from trainer.system.errors import UsageError

Content = TypeVar("Content")
# What numpy raises of a damaged file; the last of a shape that nothing could hold.
DAMAGE = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError)


def read(
    file: epath.Path,
    interpret: Callable[[Mapping[str, Any]], Content],
    *,
    version: int,
    remedy: str,
) -> Content | None:
    """Returns what is made of the arrays of a file, None where there is none.

    Args:
      file: local or in a bucket.
      interpret: makes it of the arrays by name; an error of `json_files.DAMAGE` is damage.
      version: that the file must have.
      remedy: what the user can do where it is damaged.

    Raises:
      UsageError: the file cannot be read.
    """
    if not file.exists():
        return None
    try:
        saved = dict(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False))
        if saved["version"] != version:
            raise ValueError(f"it is of version {saved['version']}, not {version}")
        return interpret(saved)
    except (*DAMAGE, *json_files.DAMAGE) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise UsageError(f"{file} cannot be read ({reason}): {remedy}.") from error


def write(
    file: epath.Path,
    arrays: Mapping[str, Any],
    *,
    version: int,
    compressed: bool = False,
) -> None:
    """Writes arrays by name, whole or not at all."""
    content = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(content, version=version, **arrays)
    atomic.write_bytes(file, content.getvalue())
