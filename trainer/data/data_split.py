"""A split of a prepared data set, whose records are read at random."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_data_source import ArrayRecordDataSource
from etils import epath

from trainer.data import summary_file
from trainer.system.errors import DataLost


@dataclass(frozen=True)
class Split:
    """One split of a prepared data set: its records in a fixed order, read at random.

    Attributes:
      name: "train", "validation" or "test".
      size: number of records.
      labels: the names of the K labels.
      classes: the two class names where K is 1, the healthy one first; else none.
      counts: number of records where a label is positive, and negative, for each label.
      read: [n] int64 record numbers -> [n] object, serialised examples.
      failures: errors of reading, which TensorFlow passes on as text alone.
      folder: of the shards; None for a split that is in memory alone.
      exclusive: whether the labels are classes that exclude one another.
      fingerprint: the data set's `dataset_fingerprint`; "" where it has none.
    """

    name: str
    size: int
    labels: list[str]
    classes: list[str]
    counts: list[tuple[int, int]]
    read: Callable[[np.ndarray], np.ndarray]
    failures: list[DataLost] = field(default_factory=list)
    folder: epath.Path | None = None
    exclusive: bool = False
    fingerprint: str = ""


def open_split(path: epath.PathLike, name: str) -> Split:
    """Opens one split of the data set that `radiograph prepare` wrote under `path`.

    Raises:
      UsageError: if there is no finished data set.
      DataLost: if there was one.
    """
    summary = summary_file.require(path)
    try:
        splits = tfds.builder_from_directory(summary_file.directory(path)).info.splits
        is_empty = not summary["splits"][name]["images"]
        files = [] if is_empty else [str(file) for file in splits[name].filepaths]
        source: Any = ArrayRecordDataSource(files) if files else ()
        size = len(source)
    except Exception as error:  # neither library documents its exceptions
        raise lost(f"{path}, split {name}", error) from error

    failures: list[DataLost] = []

    def read(numbers: np.ndarray) -> np.ndarray:
        try:
            examples = source.__getitems__(numbers.tolist())
            if not all(examples):  # as it returns from a file that was cut short
                raise ValueError("a record is empty")
            return np.array(examples, object)
        except Exception as error:  # array_record documents none of its exceptions
            failures.append(lost(f"{path}, split {name}", error))
            raise failures[-1] from error

    labels, per_label = summary["labels"], summary["splits"][name]["per_label"]
    counts = [(per_label[label]["positive"], per_label[label]["negative"]) for label in labels]
    folder = summary_file.directory(path)
    described = summary.get("exclusive", False), summary["dataset_fingerprint"]
    return Split(name, size, labels, summary["classes"], counts, read, failures, folder, *described)


def lost(what: str, error: Exception) -> DataLost:
    """Returns the error that ends a program where part of a data set cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataLost(f"the prepared data set cannot be read any more: {what} ({reason})")
