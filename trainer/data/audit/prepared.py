"""A prepared data set as a source, so that it can be audited like what it was made from."""

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import dataset, examples, pipeline, staging
from trainer.data.sources.image_record import ImageRecord
from trainer.system.errors import UsageError

SPLIT_OF = {"train": "train", "validation": "val", "test": "test"}


class Prepared:
    """What `trainer prepare` wrote; its records lie in its own splits."""

    def __init__(self, path: epath.Path):
        """Opens the data set under `path`.

        Raises:
          UsageError: if there is no finished one.
        """
        summary = dataset.read_summary(path)
        if summary is None:
            raise UsageError(
                f"{path} holds no prepared data set: make one with python -m trainer prepare."
            )
        read = staging.local(path)
        self._splits = {split: pipeline.open_split(read, split) for split in dataset.SPLITS}
        self.name = str(path)
        self.synthetic: bool = summary["synthetic"]
        self.fingerprint: str = summary["fingerprint"]
        self.labels: tuple[str, ...] = tuple(summary["labels"])
        self.classes: tuple[str, ...] = tuple(summary["classes"])
        self.identifying = False  # preparing lets no identity through

    def records(self) -> list[ImageRecord]:
        """Returns every record, split by split in the order of the shards."""
        return [
            ImageRecord(
                of.name,
                tuple(of.labels.tolist()),
                of.patient,
                SPLIT_OF[split],
                f"{split}:{of.number}",
            )
            for split, opened in self._splits.items()
            for of in examples.described(opened)
        ]

    def read(self, record: ImageRecord) -> bytes:
        """Returns the image as it is stored, JPEG or PNG."""
        split, number = record.place.split(":")
        example = self._splits[split].read(np.array([int(number)]))[0]
        stored = {"image": dataset.stored(len(self.labels))["image"]}
        return tf.io.parse_single_example(example, stored)["image"].numpy()


def is_prepared(path: epath.Path) -> bool:
    """Whether `path` is what `trainer prepare` wrote."""
    return path.is_dir() and (path / dataset.SUMMARY).exists()
