"""The prepared data set: a tensorflow-datasets builder that writes ArrayRecord shards."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath
from tensorflow_datasets.core import writer as example_writer

from trainer.data import summary_file
from trainer.data.sources.image_record import KNOWN, ImageRecord
from trainer.system import gcs, memory, threads

METADATA = "metadata-{}.json"  # of a split, beside its shards
READ_BATCH = 256
BLOCK = 2**20  # bytes
THREADS = 8  # that read files for their checksums


def stored_features(labels: int) -> dict[str, tf.io.FixedLenFeature]:
    """Returns the features of a stored example, to parse it without TFDS' decoding.

    Args:
      labels: the number of labels.
    """
    return {
        "image": tf.io.FixedLenFeature([], tf.string),
        "labels": tf.io.FixedLenFeature([labels], tf.int64),
        "name": tf.io.FixedLenFeature([], tf.string),
        "patient": tf.io.FixedLenFeature([], tf.string),
    }


class OrderedWriter(example_writer.ExampleWriter):
    """Writes the features of an example in one order, so that equal data sets are equal files."""

    def write(
        self, path: epath.PathLike, examples: Iterable[tuple[Any, bytes]]
    ) -> list[Any] | None:
        """Writes a shard of (key, serialised example); returns their positions if there are any."""
        ordered = (
            (key, tf.train.Example.FromString(example).SerializeToString(deterministic=True))
            for key, example in examples
        )
        return super().write(path, ordered)


class Radiographs(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Radiographs with their labels and a patient, split by patient.

    An example is {image: [H, W, 1] uint8 as JPEG or PNG, labels: [K] int8 of 1, 0 and -1 (not
    known), name, patient}; `info.metadata["labels"]` names the labels, `["exclusive"]` is true
    if they are classes that exclude one another.
    """

    name = summary_file.NAME
    VERSION = tfds.core.Version(summary_file.VERSION)

    def __init__(
        self,
        data_dir: epath.PathLike,
        labels: Sequence[str],
        classes: Sequence[str],
        *,
        generate: Mapping[str, Callable[[], Any]],
        exclusive: bool = False,
    ):
        """Prepares to write a data set.

        Args:
          data_dir: where it is written.
          labels: the names of the K labels.
          classes: the two class names where K is 1, the healthy one first; else none.
          generate: a function for each split that returns its examples as (name, example), in an
            iterator or a Beam transform.
          exclusive: whether the labels are classes that exclude one another.
        """
        self._labels, self._classes, self._generate = list(labels), list(classes), generate
        self._exclusive = {"exclusive": True} if exclusive else {}
        super().__init__(data_dir=data_dir, file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Frontal chest radiographs, split by patient.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(None, None, 1)),
                    "labels": tfds.features.Tensor(shape=(len(self._labels),), dtype=np.int8),
                    "name": tfds.features.Text(),
                    "patient": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "labels"),
            metadata=tfds.core.MetadataDict(
                labels=self._labels, classes=self._classes, **self._exclusive
            ),
        )

    def _example_writer(self) -> OrderedWriter:
        return OrderedWriter(self.info.file_format)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        del dl_manager
        return {split: self._generate_examples(split) for split in self._generate}

    def _generate_examples(self, split: str) -> Any:
        return self._generate[split]()


def example(record: ImageRecord, image: bytes) -> tuple[str, dict]:
    """Returns one record as the builder takes it: its name and its example."""
    return record.name, {
        "image": io.BytesIO(image),
        "labels": np.array(record.labels, np.int8),
        "name": record.name,
        "patient": record.patient,
    }


class Metadata(NamedTuple):
    """What a split's examples hold beside their images, in the order of the records.

    Attributes:
      names: [n] of the images' files.
      patients: [n] keys of the patients.
      labels: [n, K] int: 1, 0, or -1 where it is not known.
    """

    names: list[str]
    patients: list[str]
    labels: np.ndarray


def read_metadata(folder: epath.Path, split: str, labels: int) -> Metadata:
    """Returns what the shards in `folder`, a local `directory(path)`, hold of K `labels`."""
    names, patients, values = [], [], [np.zeros((0, labels), np.int64)]
    for examples in _examples(folder, split, labels):
        names += [name.decode() for name in examples["name"].numpy()]
        patients += [patient.decode() for patient in examples["patient"].numpy()]
        values.append(examples["labels"].numpy())
    return Metadata(names, patients, np.concatenate(values))


def write_metadata(folder: epath.Path, split: str, metadata: Metadata) -> None:
    """Stores it in `folder` a second time, so that reading it does not read every image."""
    content = metadata._asdict() | {"labels": metadata.labels.tolist()}
    (folder / METADATA.format(split)).write_text(json.dumps(content))


def stored_metadata(folder: epath.Path, split: str) -> Metadata | None:
    """Returns what `write_metadata` stored, or None in a data set from before it did.

    Raises:
      ValueError, LookupError or TypeError: if the file is damaged.
    """
    file = folder / METADATA.format(split)
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    return Metadata(content["names"], content["patients"], np.array(content["labels"], np.int64))


def contents(splits: Mapping[str, Metadata], labels: Sequence[str]) -> dict[str, dict]:
    """Counts what a data set holds.

    Args:
      splits: the metadata of each split, by its name.
      labels: the names of the K labels.

    Returns:
      For each split {images, patients, per_label: {label: {positive, negative, unknown}}}.

    Raises:
      AssertionError: if a patient is in two splits.
    """
    by_split: dict[str, dict] = {}
    split_of_patient: dict[str, str] = {}
    for split, metadata in splits.items():
        patients = set(metadata.patients)
        for patient in patients:
            other = split_of_patient.setdefault(patient, split)
            assert other == split, f"patient {patient} was written to both {other} and {split}"
        by_split[split] = {
            "images": len(metadata.names),
            "patients": len(patients),
            "per_label": {
                label: {name: int((column == value).sum()) for name, value in KNOWN.items()}
                for label, column in zip(labels, metadata.labels.T, strict=True)
            },
        }
    return by_split


def _examples(folder: epath.Path, split: str, labels: int) -> Iterator[dict]:
    """Yields batches of what is stored in a split, without the images."""
    memory.check_address_space()  # an audit comes here first
    wanted = stored_features(labels)
    del wanted["image"]
    found = tfds.builder_from_directory(folder).info.splits
    if split not in found:  # it has no image
        return
    files = found[split].filepaths
    with ArrayRecordDataSource([str(file) for file in files]) as source:
        for start in range(0, len(source), READ_BATCH):
            numbers = range(start, min(start + READ_BATCH, len(source)))
            yield tf.io.parse_example(source.__getitems__(list(numbers)), wanted)


def shards(folder: epath.Path) -> list[dict]:
    """Returns {file, bytes, sha256} of every file in `folder`, a local `directory(path)`."""

    def describe(file: epath.Path) -> dict:
        return {"file": file.name, "bytes": gcs.size(file), "sha256": checksum(file)}

    return list(threads.map_in_order(describe, sorted(folder.iterdir()), threads=THREADS))


def checksum(file: epath.Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
