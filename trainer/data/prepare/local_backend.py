"""Preparation on this machine: many processes decode, and the encoded images wait on disk."""

import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence

from etils import epath

from trainer.data.prepare import ingest
from trainer.data.sources.image_record import ImageRecord, Source

RecordPair = tuple[ImageRecord, ImageRecord]  # as the source has it, and as it is stored


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


class LocalBackend:
    """Examines a source with processes of this machine, decoding every file once."""

    def __init__(
        self, source: Source, options: ingest.DecodeOptions, *, workers: int, folder: epath.Path
    ):
        """Prepares to read a source.

        Args:
          source: what is read.
          options: how files become images.
          workers: number of processes.
          folder: a local folder with room for the images.
        """
        self._source, self._options, self._workers = source, options, workers
        self._spool = Spool(folder)
        self._numbers: dict[str, int] = {}

    def examine(self, records: Sequence[ImageRecord]) -> Iterator[ingest.ExaminedFile]:
        """Yields the result of each record, in order."""
        results = ingest.examine_all(self._source, records, self._options, workers=self._workers)
        for record, examined in zip(records, results, strict=True):
            if not examined.reason:
                self._numbers[record.name] = self._spool.add(examined.image)
            yield examined

    def examples(self, split: str, pairs: Sequence[RecordPair]) -> Callable[[], Iterator]:
        """Returns the function from which the builder takes the examples of `split`."""
        from trainer.data import dataset  # brings TensorFlow

        del split
        return lambda: (
            dataset.example(stored, self._spool.read(self._numbers[original.name]))
            for original, stored in pairs
        )

    def download_config(self) -> None:
        """Returns the options that the builder needs: none."""
