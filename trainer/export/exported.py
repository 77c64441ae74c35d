"""An export, opened: its files are whole, and what they hold are objects."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from etils import epath

from trainer.data import dataset
from trainer.export import conformal_table, destination, metadata, similar_images
from trainer.export.conformal_table import ConformalTable
from trainer.export.destination import CHECKSUMS
from trainer.export.formats import FILES
from trainer.export.similar_images import SimilarImages
from trainer.judge import gate
from trainer.judge.gate import Gate
from trainer.system import atomic, gcs, json_files
from trainer.system.errors import UsageError

AGAIN = "export the run again"
SAVED_MODEL = FILES["saved_model"]
READ = (metadata.FILE, gate.FILE, similar_images.FILE, conformal_table.FILE)


@dataclass(frozen=True)
class Exported:
    """The folder of an export.

    Attributes:
      folder: where it is.
      metadata: the content of metadata.json.
      gate: of the first run; its features are the output `features` of the signature `features`.
      conformal: sets at any coverage, from the output `log_odds` of the same signature.
      similar: training images, if they were asked for; they take these features, too.
      version: the SHA-256 of its checksums, which tells this export from any other.
    """

    folder: epath.Path
    metadata: dict[str, Any]
    gate: Gate | None
    conformal: ConformalTable | None
    similar: SimilarImages | None
    version: str

    @classmethod
    def open(cls, folder: epath.PathLike) -> "Exported":
        """Opens the folder that `radiograph export` wrote.

        Raises:
          UsageError: it is none, or a file is missing, damaged, was changed or put there since.
        """
        path = epath.Path(folder)
        destination.check_is_export(path)
        for name, digest in _checksums(path).items():
            _check(path / name, digest, path / name)
        found = json_files.read(path / metadata.FILE, remedy=AGAIN)
        version = hashlib.sha256((path / CHECKSUMS).read_bytes()).hexdigest()
        similar = SimilarImages.load(path)
        return cls(path, found, Gate.load(path), _conformal(path), similar, version)

    def check_unchanged(self) -> None:
        """Raises a UsageError if the folder is not what was opened: what was read may be mixed."""
        if Exported.open(self.folder).version != self.version:
            raise UsageError(f"{self.folder} was replaced while it was read: start again.")

    @property
    def saved_model(self) -> epath.Path:
        """The folder of the SavedModel.

        Raises:
          UsageError: the export has none.
        """
        if not (self.folder / SAVED_MODEL).exists():
            raise UsageError(f"{self.folder} has no saved_model: export it with that --format.")
        return self.folder / SAVED_MODEL


@contextmanager
def local(folder: epath.PathLike) -> Iterator[epath.Path]:
    """Yields the folder of an export itself, or a passing copy of one in a bucket.

    Raises:
      UsageError: a file is missing, damaged or was changed.
    """
    path = epath.Path(folder)
    if not gcs.is_gcs(path):
        yield path
        return
    sums = _checksums(path)
    with tempfile.TemporaryDirectory(prefix="export-") as made:
        copy = epath.Path(made)
        atomic.write_bytes(copy / CHECKSUMS, (path / CHECKSUMS).read_bytes())
        for name, digest in sums.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise UsageError(f"{path / CHECKSUMS} names {name}, no file of an export: {AGAIN}.")
            atomic.write_bytes(copy / name, (path / name).read_bytes())
            _check(copy / name, digest, path / name)
        yield copy


def _checksums(folder: epath.Path) -> dict[str, str]:
    """Returns the SHA-256 of each file of an export, by its path in the folder.

    Raises:
      UsageError: a file that would be read is not among them, so that nobody has checked it.
    """
    sums = json_files.read(folder / CHECKSUMS, remedy=AGAIN)
    for file in (*(folder / name for name in READ), *(folder / SAVED_MODEL).glob("*")):
        if file.is_file() and file.relative_to(folder).as_posix() not in sums:
            raise UsageError(
                f"{file} is not among the files of the export that {CHECKSUMS} lists: remove it, "
                f"or {AGAIN}."
            )
    return sums


def _check(file: epath.Path, digest: str, shown: epath.Path) -> None:
    """Raises a UsageError unless a file, or its copy, has the SHA-256 that it was exported with."""
    if not file.exists():
        raise UsageError(f"{shown} is missing: {AGAIN}.")
    if dataset.checksum(file) != digest:
        raise UsageError(f"{shown} is not as it was exported: {AGAIN}.")


def _conformal(folder: epath.Path) -> ConformalTable | None:
    file = folder / conformal_table.FILE
    if not file.exists():
        return None
    content = json_files.read(file, remedy=AGAIN)
    with json_files.damage_reported(file, AGAIN):
        return ConformalTable.from_dict(content)
