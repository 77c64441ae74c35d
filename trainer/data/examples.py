"""Single examples of a split: who they are, and a few of each kind to look at."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import dataset, pipeline

NO_LABEL = "none of them"
LOOKED_AT = 4096


def identities(split: pipeline.Split) -> tuple[list[str], list[str]]:
    """Returns the name and the patient of every record, in order."""
    names, patients = [], []
    for start in range(0, split.size, pipeline.READ_BATCH):
        numbers = np.arange(start, min(start + pipeline.READ_BATCH, split.size))
        examples = tf.io.parse_example(split.read(numbers), dataset.stored(len(split.labels)))
        names += [name.decode() for name in examples["name"].numpy()]
        patients += [patient.decode() for patient in examples["patient"].numpy()]
    return names, patients


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
    end = min(split.size, LOOKED_AT)
    for start in range(0, end, pipeline.READ_BATCH):
        numbers = np.arange(start, min(start + pipeline.READ_BATCH, end))
        parsed = tf.io.parse_example(split.read(numbers), dataset.stored(len(split.labels)))
        names, labels = parsed["name"].numpy(), parsed["labels"].numpy()
        for number, name, of in zip(numbers, names, labels, strict=True):
            wanting = [g for g in _groups_of(split, of) if g in found and len(found[g]) < count]
            if wanting:
                found[wanting[0]].append((number, name.decode().split("/")[-1]))
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
