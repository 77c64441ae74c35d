"""Files of a bucket, as those of a disk: with a position, and with OSError for what goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from etils import epath


def is_in_one(name: epath.PathLike) -> bool:
    """Tells whether a path leads into a bucket."""
    return "://" in str(name)


def open_seekable(path: epath.Path) -> IO[bytes]:
    """Opens a file of a disk or a bucket for reading; epath's own have no position in a bucket."""
    if not is_in_one(path):
        return path.open("rb")
    import tensorflow as tf  # here and below, as processes that read a disk start without it

    return tf.io.gfile.GFile(str(path), "rb")


@contextmanager
def told(name: str) -> Iterator[None]:
    """Raises as OSError what TensorFlow's client says where `name` is in a bucket."""
    if not is_in_one(name):
        yield
        return
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as mistake:
        raise OSError(mistake.message) from mistake
