"""Single examples of a split: who they are, and a few of each kind to look at."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import dataset, pipeline

NO_LABEL = "none of them"
LOOKED_AT = 4096


class Described(NamedTuple):
    """What is stored of an example beside its image; labels are [K] int."""

    number: int
    name: str
    patient: str
    labels: np.ndarray


def described(split: pipeline.Split) -> Iterator[Described]:
    """Yields every record in order, without its image."""
    stored = dataset.stored(len(split.labels))
    wanted = {field: stored[field] for field in ("name", "patient", "labels")}
    for start in range(0, split.size, pipeline.READ_BATCH):
        numbers = np.arange(start, min(start + pipeline.READ_BATCH, split.size))
        parsed = tf.io.parse_example(split.read(numbers), wanted)
        columns = (parsed[field].numpy() for field in wanted)
        for number, name, patient, labels in zip(numbers.tolist(), *columns, strict=True):
            yield Described(number, name.decode(), patient.decode(), labels)


def identities(split: pipeline.Split) -> tuple[list[str], list[str]]:
    """Returns the name and the patient of every record, in order."""
    found = list(described(split))
    return [of.name for of in found], [of.patient for of in found]


def first_of_each_group(
    split: pipeline.Split, data: ConfigDict, count: int, wanted: Sequence[str]
) -> tuple[np.ndarray, list[str], list[str]]:
    """Returns the first `count` images of each of the groups that are wanted.

    Only the first `LOOKED_AT` records are looked at, so a rare group may have fewer.

    Args:
      split: where they are looked for.
      data: the fields `data.*` of a config, for how images are read.
      count: of each group, at most.
      wanted: of `groups(split)`.

    Returns:
      images [n, S, S, 1] uint8, their file names, and the group of each, in the order of `wanted`.
    """
    found: dict[str, list[tuple[int, str]]] = {group: [] for group in wanted}
    for of in itertools.islice(described(split), LOOKED_AT):
        wanting = [g for g in _groups_of(split, of.labels) if g in found and len(found[g]) < count]
        if wanting:
            found[wanting[0]].append((of.number, of.name.split("/")[-1]))
        if all(len(of_group) == count for of_group in found.values()):
            break
    chosen = [(n, file, group) for group, files in found.items() for n, file in files]
    numbers = tf.data.Dataset.from_tensors(tf.constant([n for n, *_ in chosen], tf.int64))
    pixels = pipeline.pixels(split, data.image_size, "none", data.fit)
    images, _ = next(iter(pixels.look_up(numbers)))
    return images.numpy(), [file for _, file, _ in chosen], [group for *_, group in chosen]


def groups(split: pipeline.Split) -> list[str]:
    """Returns what examples are chosen of: the classes, or no label at all and each label.

    The labels come with the commonest first.
    """
    if split.classes:
        return split.classes
    by_count = sorted(zip(split.labels, split.counts, strict=True), key=lambda of: -of[1][0])
    return [NO_LABEL, *(label for label, _ in by_count)]


def _groups_of(split: pipeline.Split, labels: np.ndarray) -> list[str]:
    """Returns the groups that an example with these labels belongs to, the rarest first."""
    if split.classes:
        return [split.classes[labels[0]]] if labels[0] >= 0 else []
    positive = np.flatnonzero(labels == 1)
    rarest_first = sorted(positive, key=lambda number: split.counts[number][0])
    return [split.labels[number] for number in rarest_first] or [NO_LABEL]
