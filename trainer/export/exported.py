"""An export, opened: its files are whole, and what they hold are objects."""

import hashlib
from dataclasses import dataclass
from typing import Any

from etils import epath

from trainer.data import dataset
from trainer.export import conformal_table, destination, metadata
from trainer.export.conformal_table import ConformalTable
from trainer.export.destination import CHECKSUMS
from trainer.export.formats import FILES
from trainer.judge.gate import Gate
from trainer.system import json_files
from trainer.system.errors import UsageError

AGAIN = "export the run again"
SAVED_MODEL = FILES["saved_model"]


@dataclass(frozen=True)
class Exported:
    """The folder of an export.

    Attributes:
      folder: where it is.
      metadata: the content of metadata.json.
      gate: of the first run; its features are the output `features` of the signature `features`.
      conformal: sets at any coverage, from the output `log_odds` of the same signature.
      version: the SHA-256 of its checksums, which tells this export from any other.
    """

    folder: epath.Path
    metadata: dict[str, Any]
    gate: Gate | None
    conformal: ConformalTable | None
    version: str

    @classmethod
    def open(cls, folder: epath.PathLike) -> "Exported":
        """Opens the folder that `radiograph export` wrote.

        Raises:
          UsageError: it is none, or a file is missing, damaged or was changed.
        """
        path = epath.Path(folder)
        destination.check_is_export(path)
        sums = json_files.read(path / CHECKSUMS, remedy=AGAIN)
        for name, digest in sums.items():
            if not (path / name).exists():
                raise UsageError(f"{path / name} is missing: {AGAIN}.")
            if dataset.checksum(path / name) != digest:
                raise UsageError(f"{path / name} is not as it was exported: {AGAIN}.")
        found = json_files.read(path / metadata.FILE, remedy=AGAIN)
        version = hashlib.sha256((path / CHECKSUMS).read_bytes()).hexdigest()
        return cls(path, found, Gate.load(path), _conformal(path), version)

    @property
    def saved_model(self) -> epath.Path:
        """The folder of the SavedModel.

        Raises:
          UsageError: the export has none.
        """
        if not (self.folder / SAVED_MODEL).exists():
            raise UsageError(f"{self.folder} has no saved_model: export it with that --format.")
        return self.folder / SAVED_MODEL


def _conformal(folder: epath.Path) -> ConformalTable | None:
    file = folder / conformal_table.FILE
    if not file.exists():
        return None
    content = json_files.read(file, remedy=AGAIN)
    with json_files.damage_reported(file, AGAIN):
        return ConformalTable.from_dict(content)
