"""Files of a bucket, as those of a disk: with a position, and with OSError for what goes wrong."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from etils import epath

# TensorFlow's client gives an HTTP code, Google's own words in JSON, and what it was about to do.
CODE = re.compile(r"HTTP response code (\d+)")
WORDS = re.compile(r'"message":\s*"([^"\\]+)')
ABOUT = re.compile(r"when (.*gs://\S+)")
ADVICE = {
    "401": "log in with gcloud auth application-default login, or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS",
    "403": "the account may lack a role there, such as roles/storage.objectUser",
    "404": "there is no such bucket or object",
}
LONGEST = 300  # characters of a message


def is_gcs(name: epath.PathLike) -> bool:
    """Tells whether a path leads into a bucket."""
    return "://" in str(name)


def is_folder(path: epath.Path) -> bool:
    """Tells whether a folder is there; one in a bucket that does not answer raises an error."""
    return path.exists() if is_gcs(path) else path.is_dir()


def make_folder(folder: epath.Path) -> None:
    """Makes a folder, and those above it, where they are missing; a bucket needs none.

    TensorFlow's client would seek the first that exists without end where the bucket does not.
    """
    if not is_gcs(folder):
        folder.mkdir(parents=True, exist_ok=True)


def remove_if_empty(folder: epath.Path) -> None:
    """Removes a folder in which nothing is left; a bucket has none.

    epath's own `rmdir` takes a folder for empty that holds names ending in "~", and removes them.
    """
    if not is_gcs(folder):
        with suppress(OSError):
            os.rmdir(folder)


def reason(error: Exception) -> str | None:
    """Returns why a file in a bucket cannot be used, in one line, if that is what went wrong."""
    message = str(error)
    of_file = isinstance(error, OSError) or type(error).__module__.startswith("tensorflow.")
    if not of_file or "gs://" not in message:
        return None
    code, words, about = (found.search(message) for found in (CODE, WORDS, ABOUT))
    if not code:
        said = message.splitlines()[0].removeprefix("Error executing an HTTP request: ")
        return said[:LONGEST].rstrip(".")
    parts = (words and words[1], about and f"HTTP {code[1]} when {about[1]}", ADVICE.get(code[1]))
    return "; ".join(part[:LONGEST].rstrip(".") for part in parts if part)


def is_transient(error: Exception) -> bool:
    """Tells whether what is wrong may pass by itself: the service or the network failed."""
    message = str(error)
    if code := CODE.search(message):
        return int(code[1]) in (408, 429) or int(code[1]) >= 500
    return "libcurl code" in message or "retry attempts failed" in message


def open_seekable(path: epath.Path) -> IO[bytes]:
    """Opens a file of a disk or a bucket for reading; epath's own have no position in a bucket."""
    if not is_gcs(path):
        return path.open("rb")
    import tensorflow as tf  # here and below, as processes that read a disk start without it

    return tf.io.gfile.GFile(str(path), "rb")


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Raises as OSError what TensorFlow's client says where `name` is in a bucket."""
    if not is_gcs(name):
        yield
        return
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as mistake:
        raise OSError(reason(mistake) or mistake.message) from mistake
