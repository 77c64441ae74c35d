"""Preparation on this machine: many processes decode, and what they give waits on disk."""

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from trainer.data.prepare import ingest
from trainer.data.sources.image_record import ImageRecord, Source

Pair = tuple[ImageRecord, ImageRecord]  # as the source has it, and as it is stored


class Spool:
    """Byte strings kept by number in an unnamed file, which is gone when the process ends."""

    def __init__(self, folder: epath.Path):
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (it lives as long as this)
        self._ends = array("Q", [0])

    def add(self, content: bytes) -> int:
        """Keeps `content` and returns its number: 0, 1 and so on."""
        self._file.write(content)
        self._ends.append(self._ends[-1] + len(content))
        return len(self._ends) - 2

    def read(self, number: int) -> bytes:
        """Returns what was kept under `number`."""
        self._file.flush()
        start, end = self._ends[number : number + 2]
        return os.pread(self._file.fileno(), end - start, start)


class Local:
    """Examines a source with processes of this machine, decoding every file once."""

    def __init__(
        self, source: Source, recipe: ingest.DecodeOptions, workers: int, folder: epath.Path
    ):
        """Args:

        source: what is read.
        recipe: how files become images.
        workers: number of processes.
        folder: a local folder with room for the images.
        """
        self._source, self._recipe, self._workers = source, recipe, workers
        self._spool = Spool(folder)
        self._numbers: dict[str, int] = {}

    def examine(self, records: Sequence[ImageRecord]) -> Iterator[ingest.Examined]:
        """Yields what became of each record, in order."""
        found = ingest.examine_all(self._source, records, self._recipe, self._workers)
        for record, examined in zip(records, found, strict=True):
            if not examined.reason:
                self._numbers[record.name] = self._spool.add(examined.image)
            yield examined

    def examples(self, split: str, pairs: Sequence[Pair]) -> Callable[[], Iterator]:
        """Returns what the builder generates `split` with."""
        from trainer.data import dataset  # brings TensorFlow

        del split
        return lambda: (
            dataset.example(stored, self._spool.read(self._numbers[original.name]))
            for original, stored in pairs
        )

    def download_config(self) -> None:
        """Returns what the builder is to be run with: nothing special."""
