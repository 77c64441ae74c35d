"""Files in a bucket used like those of a disk: seekable, and with OSError for what goes wrong."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from etils import epath

# TensorFlow's client reports in one text: the HTTP code, Google's message in JSON, and the
# action that failed.
CODE = re.compile(r"HTTP response code (\d+)")
MESSAGE = re.compile(r'"message":\s*"([^"\\]+)')
ACTION = re.compile(r"when (.*gs://\S+)")
ADVICE = {
    "401": "log in with gcloud auth application-default login, or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS",
    "403": "the account may lack a role there, such as roles/storage.objectUser",
    "404": "there is no such bucket or object",
}
LONGEST = 300  # characters of a message


def is_gcs(name: epath.PathLike) -> bool:
    """Returns whether a path is in a bucket."""
    return "://" in str(name)


def is_folder(path: epath.Path) -> bool:
    """Returns whether a folder exists; raises an error if a bucket does not answer."""
    return path.exists() if is_gcs(path) else path.is_dir()


def size(file: epath.Path) -> int:
    """Returns the size of a file in bytes.

    epath's own `stat` fails for a local file whose owner has no name, as in containers.
    """
    return file.stat().length if is_gcs(file) else os.stat(file).st_size


def make_folder(folder: epath.Path) -> None:
    """Makes a folder and those above it; a bucket needs none.

    TensorFlow's client would search for the first that exists for ever if the bucket does not.
    """
    if not is_gcs(folder):
        folder.mkdir(parents=True, exist_ok=True)


def remove_if_empty(folder: epath.Path) -> None:
    """Removes an empty folder; a bucket has none.

    epath's own `rmdir` also removes a folder that holds files whose names end in "~".
    """
    if not is_gcs(folder):
        with suppress(OSError):
            os.rmdir(folder)


def reason(error: Exception) -> str | None:
    """Returns in one line why a file in a bucket cannot be used; None for any other error."""
    text = str(error)
    is_file_error = isinstance(error, OSError) or type(error).__module__.startswith("tensorflow.")
    if not is_file_error or "gs://" not in text:
        return None
    code, message, action = (pattern.search(text) for pattern in (CODE, MESSAGE, ACTION))
    if not code:
        line = text.splitlines()[0].removeprefix("Error executing an HTTP request: ")
        return line[:LONGEST].rstrip(".")
    parts = (
        message and message[1],
        action and f"HTTP {code[1]} when {action[1]}",
        ADVICE.get(code[1]),
    )
    return "; ".join(part[:LONGEST].rstrip(".") for part in parts if part)


def is_transient(error: Exception) -> bool:
    """Returns whether an error is temporary: the service or the network failed."""
    message = str(error)
    if code := CODE.search(message):
        return int(code[1]) in (408, 429) or int(code[1]) >= 500
    return "libcurl code" in message or "retry attempts failed" in message


def open_seekable(path: epath.Path) -> IO[bytes]:
    """Opens a file for reading; epath's own files are not seekable in a bucket."""
    if not is_gcs(path):
        return path.open("rb")
    import tensorflow as tf  # here and below: processes that read a disk start without it

    return tf.io.gfile.GFile(str(path), "rb")


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Turns errors of TensorFlow's client into OSError where `name` is in a bucket."""
    if not is_gcs(name):
        yield
        return
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        raise OSError(reason(error) or error.message) from error
