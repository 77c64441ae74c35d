"""A folder of files, on a disk or in a bucket."""

import hashlib
import logging
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from trainer.data.sources import files
from trainer.system import gcs

LOGGER = logging.getLogger(__name__)


class Folder:
    """The files below a folder. Links are followed; each folder is read once, and no cycle.

    Listing a local folder costs one system call a file. A bucket is listed without asking for each
    file's size, so that its stamps, and a fingerprint of them, depend on names alone.
    """

    def __init__(self, path: epath.Path):
        self.name = os.fspath(path)
        self._path = path
        self.refused: dict[str, str] = {}
        self.stamps: dict[str, str] = {}
        found = self._remote() if gcs.is_gcs(self.name) else self._local()
        self.stamps = dict(sorted(found))

    def read(self, name: str) -> bytes:
        """Returns the file's bytes; see `Files`."""
        return files.within_limit(self.head(name, files.MAX_BYTES + 1), name)

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file; see `Files`."""
        with gcs.translate_errors(self.name), (self._path / name).open("rb") as file:
            return file.read(size)

    def content(self, name: str) -> str:
        """Returns a digest of the file, or its name where it cannot be read; see `Files`."""
        try:
            return hashlib.sha256(self.read(name)).hexdigest()
        except OSError:
            return name

    def _remote(self) -> Iterator[tuple[str, str]]:
        """Lists one depth after the other: a walk would ask whether each file is a folder."""
        depth, names = 0, self._at_depth(0)
        while names:
            depth += 1
            deeper = self._at_depth(depth)
            folders = {name.rpartition("/")[0] for name in deeper}
            yield from ((name, "") for name in names if name not in folders)
            names = deeper

    def _at_depth(self, depth: int) -> list[str]:
        start = len(self.name.rstrip("/")) + 1
        found = self._path.glob("/".join(["*"] * (depth + 1)))
        names = (os.fspath(path)[start:] for path in found)
        # The empty file that marks a folder, "a/", is listed as "a" among the files in it.
        return [name for name in names if name.count("/") == depth]

    def _local(self) -> Iterator[tuple[str, str]]:
        """Lists what lies in the folder itself first, then what the links in it lead to."""
        root = os.path.realpath(self.name)
        read = {_identity(root)} | {_identity(parent) for parent in Path(root).parents}
        links: deque[tuple[str, str]] = deque()
        yield from self._within(root, "", read, links=links)
        while links:
            path, inside = links.popleft()
            if (identity := _identity(path)) in read:
                LOGGER.warning("%s links to a folder that is read elsewhere.", path)
                continue
            read.add(identity)
            yield from self._within(path, inside, read, links=links)

    def _within(
        self, folder: str, inside: str, read: set[tuple[int, int]], *, links: deque
    ) -> Iterator[tuple[str, str]]:
        """Lists a folder and its folders, and adds to `links` those that are linked.

        Args:
          folder: its path.
          inside: what the names of its files begin with.
          read: the folders that were listed; those in it are added.
          links: (path, beginning of the names) of the linked folders.
        """
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
        for entry in entries:
            name = inside + entry.name
            if entry.is_dir(follow_symlinks=False):
                if (identity := _identity(entry.path)) not in read:
                    read.add(identity)
                    yield from self._within(entry.path, f"{name}/", read, links=links)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                links.append((entry.path, f"{name}/"))
            else:
                yield _as_text(name), self._stamp(entry, name)

    def _stamp(self, entry: os.DirEntry, name: str) -> str:
        if _as_text(name) != name:
            self.refused[_as_text(name)] = "its name is not UTF-8 text: rename it"
            return ""
        try:
            if entry.is_file():
                status = entry.stat()
                return f"{status.st_size} {status.st_mtime}"
            reason = "a broken link" if entry.is_symlink() else "not a regular file"
        except OSError:
            reason = "a link in a circle"
        self.refused[name] = reason
        return ""


def _identity(folder: str | Path) -> tuple[int, int]:
    """Returns what is equal for two paths of one folder."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _as_text(name: str) -> str:
    """Returns the name with what is not UTF-8 in it as "?"."""
    return name if name.isascii() else name.encode(errors="replace").decode()
