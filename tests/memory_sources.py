"""Sources whose files are in memory, in a module that other processes import without TensorFlow."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from trainer.data.sources.folder import Folder
from trainer.data.sources.image_record import ImageRecord


@dataclass
class Files:
    """A source whose files are in memory: (name, content, label, patient, split) of each."""

    rows: Sequence[tuple[str, bytes, int, str, str]]
    refused: dict[str, str] = field(default_factory=dict)
    name: str = "files"
    synthetic: bool = False
    identifying: bool = False
    fingerprint: str = "0"
    labels: tuple[str, ...] = ("SICK",)
    classes: tuple[str, ...] = ("WELL", "SICK")
    exclusive: bool = False
    columns: tuple[str, ...] = ()
    reading: None = None
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the columns of each name

    def records(self) -> list[ImageRecord]:
        return [
            ImageRecord(
                name,
                (label,),
                patient,
                split,
                refused=self.refused.get(name, ""),
                columns=self.kept.get(name, ()),
            )
            for name, _, label, patient, split in self.rows
        ]

    def read(self, record: ImageRecord) -> bytes:
        return {name: content for name, content, *_ in self.rows}[record.name]


class Failing(Files):
    """Whose files are on a disk that is gone."""

    def read(self, record: ImageRecord) -> bytes:
        return Path("/nowhere/Jane_Doe").read_bytes()


class DeadlyFolder(Folder):
    """Files of a folder, of which some end the process that reads them."""

    def head(self, name: str, size: int) -> bytes:
        return os._exit(1) if name.startswith("deadly") else super().head(name, size)


class Memory(SimpleNamespace):
    """A source whose files are in memory."""

    reading = None
    columns = ()

    def records(self) -> list[ImageRecord]:
        return list(self.files)

    def read(self, record: ImageRecord) -> bytes:
        return {f.place: content for f, content in self.files.items()}[record.place]
