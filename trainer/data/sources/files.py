"""The files that a source reads: those of a folder, of archives, or made in memory."""

import hashlib
from collections.abc import Iterable
from typing import Protocol

MAX_BYTES = 512 * 2**20  # of one file: no radiograph is larger, and a zip bomb is
LONGEST_MESSAGE = 160


class Files(Protocol):
    """Files by name, "/" between folders. They can be pickled.

    Attributes:
      name: the folder or archive as the user gave it.
      stamps: a text for each file that changes with its content.
      refused: why a file is never read, for those that are not.
    """

    name: str
    stamps: dict[str, str]
    refused: dict[str, str]

    def read(self, name: str) -> bytes:
        """Returns the file's bytes.

        Raises:
          OSError: if it cannot be read, or is larger than MAX_BYTES.
        """

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file, or fewer where it holds no more."""

    def content(self, name: str) -> str:
        """Returns what is equal for files that hold the same bytes, and for them alone."""


def within_limit(data: bytes, name: str) -> bytes:
    """Returns `data`, of which up to MAX_BYTES + 1 were read.

    Raises:
      OSError: if there are more than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise OSError(f"{name} holds more than {MAX_BYTES // 2**20} MiB")
    return data


def one_line(mistake: Exception) -> str:
    """Returns a library's message about a damaged file, short and on one line."""
    return " ".join(str(mistake).split())[:LONGEST_MESSAGE] or type(mistake).__name__


def digest(lines: Iterable[str]) -> str:
    """Returns the SHA-256 of lines, in hexadecimal."""
    state = hashlib.sha256()
    for line in lines:
        state.update(line.encode(errors="surrogateescape") + b"\n")
    return state.hexdigest()


def fingerprint(files: Files, names: Iterable[str]) -> str:
    """Returns a digest that changes with any of the named files."""
    return digest(f"{name} {files.stamps.get(name, 'missing')}" for name in names)
