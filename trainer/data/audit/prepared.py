"""A prepared data set as a source, so that it can be audited like what it was made from."""

import numpy as np
from etils import epath, epy

from trainer.data import sources, summary_file
from trainer.data.sources.image_record import ImageRecord, Source
from trainer.system import tensorflow_import

with epy.lazy_imports():  # TensorFlow, which other sources do without
    import tensorflow as tf

    from trainer.data import data_split, dataset, examples, staging

SOURCE_SPLITS = {"train": "train", "validation": "val", "test": "test"}


class PreparedSource:
    """What `radiograph prepare` wrote; its records lie in its own splits."""

    reading = None
    identifying = False  # preparing replaces whatever identifies a patient

    def __init__(self, path: epath.Path):
        """Opens the data set under `path`.

        Raises:
          UsageError: if there is no finished one.
        """
        summary = summary_file.require(path, "source")
        tensorflow_import.import_quietly()
        local = staging.local(path)
        self._splits = {split: data_split.open_split(local, split) for split in summary_file.SPLITS}
        self.name = str(path)
        self.synthetic: bool = summary["synthetic"]
        self.fingerprint: str = summary["dataset_fingerprint"]
        self.labels: tuple[str, ...] = tuple(summary["labels"])
        self.classes: tuple[str, ...] = tuple(summary["classes"])
        self.exclusive: bool = summary.get("exclusive", False)
        self.columns: tuple[str, ...] = tuple(summary.get("columns", ()))

    def records(self) -> list[ImageRecord]:
        """Returns every record, split by split in the order of the shards."""
        return [
            ImageRecord(
                name=example.name,
                labels=tuple(example.labels.tolist()),
                patient=example.patient,
                split=SOURCE_SPLITS[name],
                place=f"{name}:{example.number}",
                columns=columns,
            )
            for name, split in self._splits.items()
            for example, columns in zip(
                examples.read_metadata(split), self._columns(split), strict=True
            )
        ]

    def _columns(self, split: "data_split.Split") -> list[tuple[str, ...]]:
        kept = examples.columns(split)
        rows = zip(*(kept[name].tolist() for name in self.columns), strict=True)
        return list(rows) if self.columns else [()] * split.size

    def read(self, record: ImageRecord) -> bytes:
        """Returns the image as it is stored, JPEG or PNG."""
        split, number = record.place.split(":")
        example = self._splits[split].read(np.array([int(number)]))[0]
        image = {"image": dataset.stored_features(len(self.labels))["image"]}
        return tf.io.parse_single_example(example, image)["image"].numpy()


def open_source(name: str, options: sources.Options) -> Source:
    """Returns the source called `name`: a prepared data set, or what `prepare` would take.

    Raises:
      UsageError: if there is no such source, or it cannot be read.
    """
    path = summary_file.root(name)
    return PreparedSource(path) if _is_prepared(path) else sources.open_source(name, options)


def _is_prepared(path: epath.Path) -> bool:
    """Returns whether `path` is what `radiograph prepare` wrote."""
    return path.is_dir() and (path / summary_file.SUMMARY).exists()
