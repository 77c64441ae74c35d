"""Preparation on Apache Beam: on more machines than one, or on this one with DirectRunner.

The workers find what they need in a folder that all of them reach: the source, and the records in
parts, since the description of a pipeline is limited to a few megabytes.
"""

import functools
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from etils import epath

from trainer.data.prepare import ingest
from trainer.data.prepare.local_backend import RecordPair
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system.errors import UsageError

PART = 1000  # records


class BeamBackend:
    """Examines a source with a Beam runner, decoding every file twice: nothing is kept between."""

    def __init__(
        self,
        source: Source,
        options: ingest.DecodeOptions,
        *,
        runner: str,
        beam_options: Sequence[str],
        folder: epath.Path,
    ):
        """Leaves the source where every worker finds it.

        Args:
          source: what is read, which every worker must reach.
          options: how files become images.
          runner: Beam's name of it, such as "DirectRunner" or "DataflowRunner".
          beam_options: the runner's own, as in "region=europe-west4".
          folder: a folder that every worker reaches.

        Raises:
          UsageError: if Apache Beam is not installed.
        """
        try:
            from apache_beam.options.pipeline_options import PipelineOptions
        except ImportError:
            raise UsageError(
                "--runner needs Apache Beam, which is not installed: make an environment of its "
                "own from requirements/beam.txt (docs/data.md)."
            ) from None
        self._runner, self._folder = runner, folder
        self._beam_options = PipelineOptions([f"--{option}" for option in beam_options])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "source").write_bytes(pickle.dumps((source, options)))

    def examine(self, records: Sequence[ImageRecord]) -> Iterator[ingest.ExaminedFile]:
        """Yields the result of each record, in order, without its image."""
        import apache_beam as beam

        parts = write_parts(self._folder / "records", list(enumerate(records)))
        with beam.Pipeline(runner=self._runner, options=self._beam_options) as pipeline:
            _ = (
                pipeline
                | beam.Create(parts)
                | beam.FlatMap(read_part)
                | beam.Reshuffle()
                | beam.MapTuple(functools.partial(_examine, str(self._folder)))
                | beam.io.WriteToText(str(self._folder / "found"))
            )
        results: dict[int, Any] = {}
        for file in self._folder.glob("found-*"):
            results |= (pickle.loads(bytes.fromhex(line)) for line in file.read_text().split())
        yield from (results[number] for number in range(len(records)))

    def examples(self, split: str, pairs: Sequence[RecordPair]) -> Callable[[], Any]:
        """Returns the function from which the builder takes the examples of `split`."""
        import apache_beam as beam

        parts = write_parts(self._folder / split, pairs)
        return lambda: (
            beam.Create(parts)
            | beam.FlatMap(read_part)
            | beam.Reshuffle()
            | beam.MapTuple(functools.partial(_example, str(self._folder)))
        )

    def download_config(self) -> Any:
        """Returns the options that the builder needs."""
        import tensorflow_datasets as tfds

        return tfds.download.DownloadConfig(
            beam_runner=self._runner, beam_options=self._beam_options
        )


def write_parts(folder: epath.Path, items: Sequence) -> list[str]:
    """Writes items for the workers into a new folder, and returns the names of its files."""
    folder.mkdir(parents=True)
    files = []
    for start in range(0, len(items), PART):
        file = folder / f"{start:09d}"
        file.write_bytes(pickle.dumps(items[start : start + PART]))
        files.append(str(file))
    return files


def read_part(file: str) -> Iterator:
    """Yields the items of a file that `write_parts` wrote."""
    return iter(pickle.loads(epath.Path(file).read_bytes()))


@functools.lru_cache(maxsize=1)
def _source_and_options(folder: str) -> tuple[Source, ingest.DecodeOptions]:
    return pickle.loads((epath.Path(folder) / "source").read_bytes())


def _examine(folder: str, number: int, record: ImageRecord) -> str:
    examined = ingest.examine(*_source_and_options(folder), record)
    return pickle.dumps((number, replace(examined, image=b""))).hex()


def _example(folder: str, original: ImageRecord, stored: ImageRecord) -> tuple[str, dict]:
    from trainer.data import dataset  # brings TensorFlow

    examined = ingest.examine(*_source_and_options(folder), original)
    if examined.reason:
        raise OSError(f"{original.name} could be read at first, but not again: {examined.reason}")
    return dataset.example(stored, examined.image)
