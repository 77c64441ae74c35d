"""The prepared data set: a tensorflow-datasets builder that writes ArrayRecord shards."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from trainer import whole
from trainer.data import radiograph
from trainer.data.sources.record import Record, Source

NAME = "radiographs"
VERSION = "2.0.0"
SPLITS = ("train", "validation", "test")
SUMMARY = "data_summary.json"
READ_AHEAD = 64


def stored(labels: int) -> dict[str, tf.io.FixedLenFeature]:
    """Returns an example as it is stored, for those who read it without TFDS' decoding.

    Args:
      labels: how many there are.
    """
    return {
        "image": tf.io.FixedLenFeature([], tf.string),
        "labels": tf.io.FixedLenFeature([labels], tf.int64),
        "name": tf.io.FixedLenFeature([], tf.string),
        "patient": tf.io.FixedLenFeature([], tf.string),
    }


def directory(path: epath.PathLike) -> epath.Path:
    """Returns the folder that `tfds.builder_from_directory` opens, inside a prepared set."""
    return epath.Path(path) / NAME / VERSION


def read_summary(path: epath.PathLike) -> dict | None:
    """Returns the summary of the finished data set under `path`, or None."""
    file = epath.Path(path) / SUMMARY
    return json.loads(file.read_text()) if file.exists() else None


def write_summary(path: epath.PathLike, summary: dict) -> None:
    """Writes the summary, which marks the data set under `path` as finished."""
    whole.write_json(epath.Path(path) / SUMMARY, summary)


class Radiographs(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Radiographs with their labels and a patient, split by patient.

    An example is {image: [H, W, 1] uint8 as JPEG or PNG, labels: [K] int8 of 1, 0 and -1 (not
    known), name, patient}; `info.metadata["labels"]` names the labels. After
    `download_and_prepare()`, `skipped` lists what could not be decoded, as (split, name, reason),
    and `written` every record that was, as (split, record).
    """

    name = NAME
    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        data_dir: epath.PathLike,
        source: Source,
        splits: Mapping[str, Sequence[Record]],
        max_side: int,
    ):
        self._source = source
        self._splits = splits
        self._max_side = max_side
        self.skipped: list[tuple[str, str, str]] = []
        self.written: list[tuple[str, Record]] = []
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Frontal chest radiographs, split by patient.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 1)),
                    "labels": tfds.features.Tensor(
                        shape=(len(self._source.labels),), dtype=np.int8
                    ),
                    "name": tfds.features.Text(),
                    "patient": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "labels"),
            metadata=tfds.core.MetadataDict(
                labels=list(self._source.labels), classes=list(self._source.classes)
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        for record, image in _recoded(self._source, self._splits[split], self._max_side):
            if isinstance(image, radiograph.Unreadable):
                self.skipped.append((split, record.name, str(image)))
                continue
            self.written.append((split, record))
            yield (
                record.name,
                {
                    "image": io.BytesIO(image),
                    "labels": np.array(record.labels, np.int8),
                    "name": record.name,
                    "patient": record.patient,
                },
            )


def _recoded(
    source: Source, records: Iterable[Record], max_side: int
) -> Iterator[tuple[Record, bytes | radiograph.Unreadable]]:
    """Yields (record, file or why not) in order, a bounded number ahead on every core."""

    def recode(data: bytes) -> bytes | radiograph.Unreadable:
        try:
            return radiograph.recode(data, max_side)
        except radiograph.Unreadable as reason:
            return reason

    records = iter(records)
    with ThreadPoolExecutor() as pool:
        while chunk := list(islice(records, READ_AHEAD)):
            yield from zip(chunk, pool.map(recode, [source.read(r) for r in chunk]), strict=True)
