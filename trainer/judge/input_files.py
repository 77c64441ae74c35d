"""The files that a user wants predictions for: found, read and decoded as those of training were.

Nothing here needs TensorFlow, so that the processes that decode start without it.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from etils import epath
from pydicom import Dataset

from trainer.data.decode import fit, limits, recode
from trainer.data.prepare.ingest import DecodeOptions
from trainer.data.sources import (
    TABLES,
    files,
    folder,
    image_files,
    image_index,
    open_files,
    tar_archives,
)
from trainer.data.sources.csv_table import CsvTable
from trainer.system import gcs, processes
from trainer.system.errors import UsageError

ARCHIVES = (".zip", *tar_archives.SUFFIXES)
LIST = "-"  # of paths, a line each
LEFT_OUT, UNREAD, TOO_MUCH, OTHER = "left out", "cannot be read", "time or memory", "no radiograph"
OPENED = 8  # archives that a process keeps open


@dataclass(frozen=True)
class InputFile:
    """A file that a prediction is asked for.

    Attributes:
      path: as it is shown: of an archive's member, the archive's path and its name within.
      archive: that it is a member of, or a folder; "" where `path` is its own.
      name: within the archive.
      refused: why it is not read, if that is known before; else "".
    """

    path: str
    archive: str = ""
    name: str = ""
    refused: str = ""


@dataclass(frozen=True)
class DecodedFile:
    """A file on its way to the network.

    Attributes:
      path: as it is shown.
      images: for each fit, [S, S, 1] uint8; none where there is a reason.
      size: of the image that preparation would store, (width, height) in pixels.
      group: of reasons, where there is one: `LEFT_OUT` and the like.
      reason: why it cannot be predicted, in a few words; or "".
      dicom: what its results take over from a DICOM file, where they are asked for.
    """

    path: str
    images: tuple[np.ndarray, ...] = ()
    size: tuple[int, int] = (0, 0)
    group: str = ""
    reason: str = ""
    dicom: Dataset | None = None


class InputFiles:
    """The files below several paths, in the order given.

    Args:
      paths: files, folders, archives, tables, or `LIST`.
      listed: the lines that `LIST` stands for.
      path_column: a table's column of paths; "" finds it.
      image_root: folder or archive that a table's paths start from; "" is the table's folder.

    Attributes:
      passed_over: number of files in folders and archives that are no images by name and content.
      found: number of files so far.
    """

    def __init__(
        self,
        paths: Sequence[str],
        listed: Iterable[str] = (),
        *,
        path_column: str = "",
        image_root: str = "",
    ):
        self._paths, self._listed = paths, listed
        self._path_column, self._image_root = path_column, image_root
        self.passed_over = self.found = 0

    def __iter__(self) -> Iterator[InputFile]:
        """Yields each file when it is asked for; a list's lines are read as they come.

        Raises:
          UsageError: if a table or an archive cannot be read.
        """
        for path in self._paths:
            lines = (line.rstrip("\r\n") for line in self._listed) if path == LIST else [path]
            for line in filter(None, lines):
                for file in self._below(line):
                    self.found += 1
                    yield file

    def count(self) -> int | None:
        """Returns how many files there are; None where a list's lines come one by one."""
        if LIST in self._paths:
            return None
        again = InputFiles(self._paths, path_column=self._path_column, image_root=self._image_root)
        return sum(1 for _ in again)

    def _below(self, given: str) -> Iterator[InputFile]:
        path, lower = epath.Path(given), given.lower()
        if lower.endswith(TABLES):
            yield from self._in_table(path)
        elif path.is_dir() or (lower.endswith(ARCHIVES) and path.exists()):
            yield from self._in_container(given)
        else:
            yield InputFile(given)

    def _in_container(self, given: str) -> Iterator[InputFile]:
        """Yields the images in a folder or an archive."""
        content = _opened(given)
        names = [name for name in content.stamps if not _is_hidden(name)]
        images = image_files.among([n for n in names if n not in content.refused], content)
        for name in names:
            if name in images or (name in content.refused and image_files.has_suffix(name)):
                yield _member(given, name, content.refused.get(name, ""))
            else:
                self.passed_over += 1

    def _in_table(self, path: epath.Path) -> Iterator[InputFile]:
        """Yields the image of each row."""
        table = CsvTable(path)
        column = self._path_column or _path_column(table)
        if column not in table.columns:
            raise UsageError(
                f"{path} has no column {column!r}: name that of the images with --path_column, "
                f"one of {', '.join(table.columns)}."
            )
        root = self._image_root or os.fspath(path.parent)
        content = _opened(root)
        rows = [cell for _, (cell,) in table.rows([column])]
        found, ambiguous = image_index.find(dict.fromkeys(rows), list(content.stamps))
        for row in rows:
            if name := found.get(row):
                yield _member(root, name, content.refused.get(name, ""))
            else:
                several = "the name of several files" if row in ambiguous else "no such file"
                yield InputFile(row, refused=f"{several} under {root}")


def decode_all(
    inputs: Iterable[InputFile],
    options: DecodeOptions,
    fits: Sequence[tuple[int, str]],
    *,
    workers: int,
    source: Callable[[bytes], Dataset | None] | None = None,
) -> Iterator[DecodedFile]:
    """Yields every file decoded, in order, by processes; see `processes.map_in_order`.

    Args:
      inputs: the files, asked for as they are needed.
      options: how files become stored images.
      fits: side and mode of each square that networks take, see `trainer.data.decode.fit`.
      workers: number of processes.
      source: returns what is kept of a file's bytes, if it is DICOM; raises Unreadable.

    Raises:
      CannotWrite: if processes are killed whatever they decode.
    """
    decode_one = partial(decode, options, tuple(fits), source=source)
    return processes.map_in_order(decode_one, inputs, _failed, workers=workers)


def decode(
    options: DecodeOptions,
    fits: Sequence[tuple[int, str]],
    file: InputFile,
    *,
    source: Callable[[bytes], Dataset | None] | None = None,
) -> DecodedFile:
    """Returns one file decoded, or the reason why not."""
    if file.refused:
        return DecodedFile(file.path, group=UNREAD, reason=file.refused)
    try:
        data = _read(file)
        stored = recode.stored_image(
            data, options.max_side, options.any_view, uniform=options.uniform
        )
        dicom = source(data) if source else None
    except limits.Unreadable as error:
        return DecodedFile(file.path, group=group(error), reason=str(error))
    except OSError as error:
        reason = f"cannot be read: {error.strerror or files.one_line(error)}"
        return DecodedFile(file.path, group=UNREAD, reason=reason)
    images = tuple(fit.fit(stored, *each) for each in fits)
    return DecodedFile(file.path, images, stored.size, dicom=dicom)


def _failed(file: InputFile, reason: str) -> DecodedFile:
    return DecodedFile(file.path, group=TOO_MUCH, reason=reason)


def _read(file: InputFile) -> bytes:
    if file.archive:
        return _opened(file.archive).read(file.name)
    with gcs.translate_errors(file.path), epath.Path(file.path).open("rb") as opened:
        return files.within_limit(opened.read(files.MAX_BYTES + 1), file.path)


@lru_cache(OPENED)
def _opened(path: str) -> files.Files:
    with gcs.translate_errors(path):
        return open_files.open_files(epath.Path(path))


def _member(container: str, name: str, refused: str) -> InputFile:
    shown = f"{container.rstrip('/')}/{name}"
    if isinstance(_opened(container), folder.Folder):
        return InputFile(shown, refused=refused)
    return InputFile(shown, container, name, refused)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _path_column(table: CsvTable) -> str:
    """Returns the first column whose first cell ends as an image's name does."""
    columns = [name for name in table.columns if name]
    for _, cells in itertools.islice(table.rows(columns), 1):
        for name, cell in zip(columns, cells, strict=True):
            if image_files.has_suffix(cell):
                return name
    raise UsageError(
        f"{table.name} has no column of image files in its first row: name it with --path_column, "
        f"one of {', '.join(columns)}."
    )


def group(error: limits.Unreadable) -> str:
    """Returns the group of a reason: what a decoder calls it, or one of the constants above."""
    if isinstance(error, limits.LeftOut):
        return LEFT_OUT
    kind = str(error).partition(":")[0]
    return kind if kind in ("damaged", "not supported") else OTHER
