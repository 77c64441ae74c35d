"""The prepared data set: a tensorflow-datasets builder that writes ArrayRecord shards."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from trainer import whole
from trainer.data import radiograph
from trainer.data.sources import Record

NAME = "radiographs"
VERSION = "1.0.0"
# An example as it is stored, for those who read it without tensorflow-datasets' decoding.
STORED = {
    "image": tf.io.FixedLenFeature([], tf.string),
    "label": tf.io.FixedLenFeature([], tf.int64),
    "name": tf.io.FixedLenFeature([], tf.string),
    "patient": tf.io.FixedLenFeature([], tf.string),
}
SPLITS = ("train", "validation", "test")
SUMMARY = "data_summary.json"
READ_AHEAD = 64


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
    """Radiographs with a class and a patient, split by patient.

    An example is {image: [H, W, 1] uint8 as JPEG or PNG, label: class number, name, patient}. After
    `download_and_prepare()`, `skipped` lists what could not be decoded, as (split, name, reason),
    and `written` every record that was, as (split, record).
    """

    name = NAME
    VERSION = tfds.core.Version(VERSION)

    def __init__(
        self,
        data_dir: epath.PathLike,
        classes: Sequence[str],
        splits: Mapping[str, Sequence[Record]],
        max_side: int,
    ):
        self._classes = list(classes)
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
                    "label": tfds.features.ClassLabel(names=self._classes),
                    "name": tfds.features.Text(),
                    "patient": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        del dl_manager
        return {split: self._generate_examples(split) for split in self._splits}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
        for record, image in _recoded(self._splits[split], self._max_side):
            if isinstance(image, radiograph.Unreadable):
                self.skipped.append((split, record.name, str(image)))
                continue
            self.written.append((split, record))
            yield (
                record.name,
                {
                    "image": io.BytesIO(image),
                    "label": record.class_name,
                    "name": record.name,
                    "patient": record.patient,
                },
            )


def _recoded(
    records: Iterable[Record], max_side: int
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
            yield from zip(chunk, pool.map(recode, [r.read() for r in chunk]), strict=True)
