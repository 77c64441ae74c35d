"""A folder of files, on a disk or in a bucket."""

import logging
import os
from collections.abc import Iterator

from etils import epath

from trainer.data.sources import files
from trainer.system import gcs

LOGGER = logging.getLogger(__name__)


class Folder:
    """The files below a folder. Links to files are followed, links to folders are not.

    Listing a local folder costs one system call a file. A bucket is listed without asking for each
    file's size, so that its stamps, and a fingerprint of them, depend on names alone.
    """

    def __init__(self, path: epath.Path):
        self.name = os.fspath(path)
        self._path = path
        self.refused: dict[str, str] = {}
        self.stamps: dict[str, str] = {}
        found = self._remote() if gcs.is_gcs(self.name) else self._local(self.name)
        self.stamps = dict(sorted(found))

    def read(self, name: str) -> bytes:
        """Returns the file's bytes; see `Files`."""
        return files.within_limit(self.head(name, files.MAX_BYTES + 1), name)

    def head(self, name: str, size: int) -> bytes:
        """Returns the first `size` bytes of the file; see `Files`."""
        with gcs.translate_errors(self.name), (self._path / name).open("rb") as file:
            return file.read(size)

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

    def _local(self, folder: str, inside: str = "") -> Iterator[tuple[str, str]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._local(entry.path, f"{inside}{entry.name}/")
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    LOGGER.warning("%s is a link to a folder and is not followed.", entry.path)
                else:
                    name = inside + entry.name
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


def _as_text(name: str) -> str:
    """Returns the name with what is not UTF-8 in it as "?"."""
    return name if name.isascii() else name.encode(errors="replace").decode()
