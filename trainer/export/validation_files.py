"""The files of validation that an export is compared on."""

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
from etils import epath

from trainer.data import data_split, dataset
from trainer.data.sources.open_files import open_files
from trainer.export.decoding import JPEG_START, PNG_START
from trainer.export.parity import Files
from trainer.judge.ensemble import Ensemble
from trainer.system import gcs
from trainer.system.errors import UsageError

MOST_IMAGES = 500  # that are compared


def read(ensemble: Ensemble, data: epath.PathLike) -> Files:
    """Returns the first files, with what the runs predict.

    They are the source files where these are still there, on this machine, and JPEG or PNG; else
    what preparation has stored of them.

    Args:
      ensemble: the runs.
      data: the prepared data set.

    Raises:
      UsageError: the data set is another than that of the runs.
    """
    split = data_split.open_split(data, "validation")
    if split.labels != ensemble.labels:
        raise UsageError(
            f"--data={data} has the labels {', '.join(split.labels)}, the run "
            f"{', '.join(ensemble.labels)}: give the data set that it was trained on."
        )
    numbers = np.arange(min(split.size, MOST_IMAGES))
    parsed = tf.io.parse_example(split.read(numbers), dataset.stored_features(len(ensemble.labels)))
    contents = list(parsed["image"].numpy())
    sources = list(_sources(ensemble.members[0].data["source"], parsed["name"].numpy()))
    found = [
        source if source.startswith((JPEG_START, PNG_START)) else stored
        for source, stored in zip(sources, contents, strict=True)
    ]
    originals = np.array([a is b for a, b in zip(found, sources, strict=True)])
    return Files.predict(ensemble, found, parsed["labels"].numpy(), originals=originals)


def _sources(source: str, names: Sequence[bytes]) -> Iterator[bytes]:
    """Yields the file that each image was prepared from; nothing where it is not there."""
    path = epath.Path(source)
    files = None
    if not gcs.is_gcs(source) and path.exists():
        try:
            files = open_files(path)
        except (UsageError, OSError):  # it is a table or the like
            files = None
    for name in names:
        try:
            yield b"" if files is None else files.read(name.decode())
        except (LookupError, OSError):
            yield b""
