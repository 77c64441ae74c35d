"""Files of a bucket, as those of a disk: with a position, and with OSError for what goes wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from etils import epath

# What TensorFlow's client says is an HTTP code, Google's own words in JSON, and what it was at.
CODE = re.compile(r"HTTP response code (\d+)")
WORDS = re.compile(r'"message":\s*"([^"\\]+)')
AT = re.compile(r"when (.*gs://\S+)")
MEANING = {
    "401": "no valid credentials, which gcloud auth application-default login leaves there",
    "403": "the credentials in use do not permit it",
    "404": "there is no such bucket or object",
}
LONGEST = 300  # characters of a message


def is_in_one(name: epath.PathLike) -> bool:
    """Tells whether a path leads into a bucket."""
    return "://" in str(name)


def make_folder(folder: epath.Path) -> None:
    """Makes a folder, and those above it, where they are missing; a bucket needs none.

    TensorFlow's client would seek the first that exists without end where the bucket does not.
    """
    if not is_in_one(folder):
        folder.mkdir(parents=True, exist_ok=True)


def reason(error: Exception) -> str | None:
    """Returns why a file in a bucket cannot be used, in one line, if that is what went wrong."""
    message = str(error)
    if "gs://" not in message:
        return None
    code, words, at = (found.search(message) for found in (CODE, WORDS, AT))
    meant = words[1] if words else MEANING.get(code[1], "") if code else ""
    if not code:
        meant = message.splitlines()[0].removeprefix("Error executing an HTTP request: ")
    said = [f"HTTP {code[1]}" if code else "", at[1] if at else "", meant[:LONGEST]]
    return ", ".join(part.rstrip(".") for part in said if part)


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
        raise OSError(reason(mistake) or mistake.message) from mistake
