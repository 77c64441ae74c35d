"""The shards of a data set, written, and read back to see that they are what was meant."""

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from etils import epath, epy

from trainer.data import columns_file, staging, summary_file
from trainer.data.prepare.examination import Backend
from trainer.data.prepare.splits import SplitAssignment
from trainer.data.sources.image_record import ImageRecord

with epy.lazy_imports():  # TensorFlow, which the processes that decode do without
    import tensorflow_datasets as tfds

    from trainer.data import dataset


def build(
    backend: Backend,
    builder: Callable[..., Any],
    *,
    assignment: SplitAssignment,
    stored: Mapping[str, ImageRecord],
) -> None:
    """Writes the shards of each split that has images.

    Args:
      backend: which has the images.
      builder: makes the TFDS builder from `generate`.
      assignment: of the records to splits.
      stored: each record as it is stored, by the name that its source has for it.
    """
    generate = {
        split: backend.examples(split, [(record, stored[record.name]) for record in records])
        for split, records in assignment.splits.items()
        if records
    }
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with redirect_stdout(io.StringIO()):  # it would announce downloads of unknown size
        builder(generate=generate).download_and_prepare(download_config=backend.download_config())


def check(
    folder: epath.Path,
    labels: Sequence[str],
    assignment: SplitAssignment,
    *,
    columns: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Returns the counts and checksums of what was written, read from the shards.

    Names, patients, labels and kept columns are stored beside them on the way.

    Args:
      folder: which the data set was built in.
      labels: the names of the K labels.
      assignment: of the records to splits.
      columns: the kept ones, each with the value of every image by its name.

    Raises:
      AssertionError: if a split is incomplete, or a patient is in two.
    """
    directory = summary_file.directory(folder)
    with staging.fetched(directory) as written:
        metadata = {
            split: dataset.read_metadata(written, split, len(labels))
            for split in summary_file.SPLITS
        }
        for place in dict.fromkeys((directory, written)):
            for split, content in metadata.items():
                dataset.write_metadata(place, split, content)
                if columns:
                    kept = {
                        name: [values[image] for image in content.names]
                        for name, values in columns.items()
                    }
                    columns_file.write_columns(place, split, kept)
        counts = dataset.contents(metadata, labels)
        for split, records in assignment.splits.items():
            assert counts[split]["images"] == len(records), f"{split} is incomplete"
        return {"splits": counts, "shards": dataset.shards(written)}
