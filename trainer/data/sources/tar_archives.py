"""Tar archives, compressed or not, one or several that make up one set, read as they are."""

import bz2
import gzip
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Sequence
from typing import Any

from etils import epath

from trainer.data.sources import files
from trainer.data.sources.archive import is_document
from trainer.system import gcs
from trainer.system.errors import UsageError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
COMPRESSED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)


class TarArchives:
    """The members of tar archives. With several, each archive's lie in a folder of its name.

    A compressed archive is unpacked from its beginning up to a member, and on from there to the
    next: reading members in their order costs one pass for each process, any other order many.
    Nothing is written; what is no regular file is listed and never read.
    """

    def __init__(self, name: str, paths: Sequence[epath.Path]):
        self.name = name
        self._paths = tuple(paths)
        self._opened: tuple[int, dict[int, Any]] = (0, {})
        self.refused: dict[str, str] = {}
        self.stamps: dict[str, str] = {}
        self._members: dict[str, tuple[int, int, int]] = {}  # (archive, where it begins, bytes)
        for number, path in enumerate(paths):
            folder = f"{path.name.partition('.')[0]}/" if len(paths) > 1 else ""
            try:
                with gcs.open_seekable(path) as file, tarfile.open(fileobj=file) as archive:
                    for member in archive:
                        self._add(number, member, folder)
            except DAMAGED as damage:
                raise UsageError(
                    f"{path} is damaged or incomplete ({files.one_line(damage)}): download it "
                    "again."
                ) from None

    def __getstate__(self) -> dict:
        return vars(self) | {"_opened": (0, {})}

    def read(self, name: str) -> bytes:
        """Returns the file's bytes; see `Files`."""
        return files.within_limit(self.head(name, files.MAX_BYTES + 1), name)

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file; see `Files`."""
        number, start, length = self._members[name]
        try:
            stream = self._stream(number)
            stream.seek(start)
            return stream.read(min(size, length))
        except DAMAGED as damage:
            raise OSError(f"damaged in the archive ({files.one_line(damage)})") from damage

    def content(self, name: str) -> str:
        """Returns a digest of the file; see `Files`."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def position(self, name: str) -> tuple[int, int]:
        """Returns what orders names as their files lie in the archives; unknown ones come first."""
        return self._members.get(name, (-1, 0, 0))[:2]

    def _add(self, number: int, member: tarfile.TarInfo, folder: str) -> None:
        name = folder + member.name.removeprefix("./")
        if member.isdir():
            return
        if name in self._members:
            name = f"{name} (at {member.offset_data})"
            self.refused[name] = "the archive has this name twice: the first is taken"
        elif not member.isreg():
            self.refused[name] = "a link or a device"
        self._members[name] = number, member.offset_data, member.size
        self.stamps[name] = f"{member.size} {member.mtime}"

    def _stream(self, number: int) -> Any:
        """Opens an archive in each process, as processes would share a file handle's position."""
        if self._opened[0] != os.getpid():
            self._opened = os.getpid(), {}
        streams = self._opened[1]
        if number not in streams:
            streams.clear()  # of the archives before it
            file = gcs.open_seekable(self._paths[number])
            opener = COMPRESSED.get(file.read(2))
            file.seek(0)
            streams[number] = opener(file) if opener else file
        return streams[number]


def only_tars(folder: epath.Path) -> list[epath.Path]:
    """Returns the tar archives in a folder without other files but documents, or []."""
    paths = sorted(folder.iterdir())
    archives = [path for path in paths if path.name.lower().endswith(SUFFIXES)]
    others = [path for path in paths if path not in archives]
    return archives if all(is_document(path.name) for path in others) else []
