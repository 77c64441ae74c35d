"""A prepared data set as a source, so that it can be audited like what it was made from."""

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import dataset, pipeline
from trainer.data.sources.record import Record
from trainer.entry import Refusal

SPLIT_OF = {"train": "train", "validation": "val", "test": "test"}
READ_BATCH = 64


class Prepared:
    """What `trainer.data.prepare` wrote; its records lie in its own splits."""

    def __init__(self, path: epath.Path):
        """Opens the data set under `path`.

        Raises:
          Refusal: if there is no finished one.
        """
        summary = dataset.read_summary(path)
        if summary is None:
            raise Refusal(f"{path} holds no prepared data set: make one with trainer.data.prepare.")
        self._splits = {split: pipeline.open_split(path, split) for split in dataset.SPLITS}
        self.name = str(path)
        self.synthetic: bool = summary["synthetic"]
        self.fingerprint: str = summary["fingerprint"]
        self.labels: tuple[str, ...] = tuple(summary["labels"])
        self.classes: tuple[str, ...] = tuple(summary["classes"])
        self.identifying = False  # preparing lets no identity through

    def records(self) -> list[Record]:
        """Returns every record, split by split in the order of the shards."""
        return [record for split in dataset.SPLITS for record in self._of_split(split)]

    def read(self, record: Record) -> bytes:
        """Returns the image as it is stored, JPEG or PNG."""
        split, number = record.place.split(":")
        example = self._splits[split].read(np.array([int(number)]))[0]
        return self._parse([example], "image")["image"].numpy()[0]

    def _of_split(self, split: str) -> list[Record]:
        records = []
        size = self._splits[split].size
        for start in range(0, size, READ_BATCH):
            numbers = np.arange(start, min(start + READ_BATCH, size))
            examples = self._splits[split].read(numbers)
            parsed = self._parse(list(examples), "labels", "name", "patient")
            columns = (parsed[field].numpy() for field in ("labels", "name", "patient"))
            for number, labels, name, patient in zip(numbers, *columns, strict=True):
                place = f"{split}:{number}"
                records.append(
                    Record(
                        name.decode(),
                        tuple(labels.tolist()),
                        patient.decode(),
                        SPLIT_OF[split],
                        place,
                    )
                )
        return records

    def _parse(self, examples: list[bytes], *fields: str) -> dict[str, tf.Tensor]:
        stored = dataset.stored(len(self.labels))
        return tf.io.parse_example(examples, {field: stored[field] for field in fields})


def is_prepared(path: epath.Path) -> bool:
    """Whether `path` is what `trainer.data.prepare` wrote."""
    return path.is_dir() and (path / dataset.SUMMARY).exists()
