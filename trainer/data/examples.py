"""Single examples of a split: names, patients and labels, and a few images of each class."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import columns_file, data_split, dataset, pipeline
from trainer.system import json_files

NO_LABEL = "none of them"
MOST_SEARCHED = 4096  # records in which images of a group are sought


class ExampleMetadata(NamedTuple):
    """A stored example without its image.

    Attributes:
      number: of the record in its split.
      name: of the image's file.
      patient: the key of its patient.
      labels: [K] int: 1, 0, or -1 where it is not known.
    """

    number: int
    name: str
    patient: str
    labels: np.ndarray


def read_metadata(split: data_split.Split) -> Iterator[ExampleMetadata]:
    """Yields every record in order, without its image.

    Raises:
      DataLost: if the data set is damaged.
    """
    try:
        stored = split.folder and dataset.stored_metadata(split.folder, split.name)
        if stored and any(len(part) != split.size for part in stored):
            raise ValueError(f"it is of {len(stored.names)} records")
    except (OSError, *json_files.DAMAGE) as error:
        raise data_split.lost(f"{split.folder}, metadata of {split.name}", error) from error
    if stored:
        rows = zip(range(split.size), *stored, strict=True)
        yield from itertools.starmap(ExampleMetadata, rows)
        return
    features = dataset.stored_features(len(split.labels))
    wanted = {field: features[field] for field in ("name", "patient", "labels")}
    for start in range(0, split.size, pipeline.READ_BATCH):
        numbers = np.arange(start, min(start + pipeline.READ_BATCH, split.size))
        parsed = tf.io.parse_example(split.read(numbers), wanted)
        columns = (parsed[field].numpy() for field in wanted)
        for number, name, patient, labels in zip(numbers.tolist(), *columns, strict=True):
            yield ExampleMetadata(number, name.decode(), patient.decode(), labels)


def identities(split: data_split.Split) -> tuple[list[str], list[str]]:
    """Returns the name and the patient of every record, in order."""
    records = list(read_metadata(split))
    return [record.name for record in records], [record.patient for record in records]


def columns(split: data_split.Split) -> dict[str, np.ndarray]:
    """Returns the columns that were kept of every record, [n] str each, in order; "" is not known.

    A data set that was prepared without `--keep_columns` has none.

    Raises:
      DataLost: if they are damaged.
    """
    if split.folder is None:
        return {}
    try:
        kept = columns_file.read_columns(split.folder, split.name, split.size)
    except (OSError, *json_files.DAMAGE) as error:
        raise data_split.lost(f"{split.folder}, columns of {split.name}", error) from error
    return {name: np.array(values, str) for name, values in kept.items()}


def first_of_each_group(
    split: data_split.Split, data: ConfigDict, count: int, *, wanted: Sequence[str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns the first `count` images of each of the groups that are wanted.

    Only the first `MOST_SEARCHED` records are searched, so a rare group may have fewer.

    Args:
      split: that is searched.
      data: the fields `data.*` of a config, for how images are read.
      count: of each group, at most.
      wanted: of `groups(split)`.

    Returns:
      images [n, S, S, 1] uint8, their file names, and the group of each, in the order of `wanted`.
    """
    found: dict[str, list[tuple[int, str]]] = {group: [] for group in wanted}
    for record in itertools.islice(read_metadata(split), MOST_SEARCHED):
        incomplete = [
            group
            for group in _groups_with(split, record.labels)
            if group in found and len(found[group]) < count
        ]
        if incomplete:
            found[incomplete[0]].append((record.number, record.name.split("/")[-1]))
        if all(len(files) == count for files in found.values()):
            break
    chosen = [(n, file, group) for group, files in found.items() for n, file in files]
    numbers = [number for number, *_ in chosen]
    images = pipeline.read_images(split, numbers, data.image_size, fit_mode=data.fit)
    return images, [file for _, file, _ in chosen], [group for *_, group in chosen]


def groups(split: data_split.Split) -> list[str]:
    """Returns the groups of examples: the classes, or those without a label and each label.

    The commonest label comes first.
    """
    if split.classes or split.exclusive:
        return split.classes or split.labels
    by_count = sorted(zip(split.labels, split.counts, strict=True), key=lambda pair: -pair[1][0])
    return [NO_LABEL, *(label for label, _ in by_count)]


def _groups_with(split: data_split.Split, labels: np.ndarray) -> list[str]:
    """Returns the groups that an example with these labels belongs to, the rarest first."""
    if split.classes:
        return [split.classes[labels[0]]] if labels[0] >= 0 else []
    positive = np.flatnonzero(labels == 1)
    rarest_first = sorted(positive, key=lambda number: split.counts[number][0])
    return [split.labels[number] for number in rarest_first] or [NO_LABEL]
