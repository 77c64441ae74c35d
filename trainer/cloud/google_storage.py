"""Buckets through Google's own client, with errors in one sentence; without TensorFlow."""

import base64
import difflib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPIError, NotFound, RetryError
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.retry import DEFAULT_RETRY

from trainer.cloud import bucket_address, credentials
from trainer.system import json_files
from trainer.system.errors import CannotWrite, ExitError, Unavailable, UsageError

RETRY = DEFAULT_RETRY.with_delay(0.5, 16.0, 2.0).with_timeout(120.0)  # seconds
SHOWN = 200  # characters of the service's message
FAILURES = (
    *(GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption),
    *(requests.RequestException, ConnectionError),
)


def client(project: str | None = None, found: Credentials | None = None) -> Client:
    """Returns a client with the user's credentials, or without any for STORAGE_EMULATOR_HOST.

    Args:
      project: whose buckets are listed; by default that of the credentials.
      found: the credentials, where they have been looked for already.

    Raises:
      NoCredentials: if there are none.
    """
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return Client(project or "emulated", AnonymousCredentials())
    if found is None:
        found, default_project = credentials.find()
        project = project or default_project
    return Client(project, found)


def region(client: Client, bucket: str) -> str:
    """Returns the location of a bucket: "us-central1", or "us" or "nam4" for several regions.

    Raises:
      UsageError: if it does not exist or may not be seen.
      Unavailable: if the service fails for now.
    """
    with translate_errors(f"gs://{bucket}", role="roles/storage.legacyBucketReader"):
        try:
            return client.get_bucket(bucket, retry=RETRY).location.lower()
        except NotFound:
            raise UsageError(
                f"gs://{bucket} does not exist{_similar_buckets(client, bucket)}."
            ) from None


def check_writable(client: Client, url: str) -> None:
    """Writes an empty object below `url` and removes it.

    Raises:
      UsageError: if that is not allowed.
      Unavailable: if it fails for now.
    """
    bucket, path = bucket_address.split(url)
    with translate_errors(url):
        probe = client.bucket(bucket).blob(f"{prefix(path)}.writable-{uuid.uuid4().hex}")
        probe.upload_from_string(b"", retry=RETRY)  # a name of its own: it replaces nothing
        with suppress(NotFound):  # removed, though the answer was lost
            probe.delete(retry=RETRY)


def read_text(client: Client, url: str) -> str | None:
    """Returns the text of the object at `url`, or None if there is none."""
    bucket, path = bucket_address.split(url)
    with translate_errors(url):
        try:
            return client.bucket(bucket).blob(path).download_as_bytes(retry=RETRY).decode()
        except NotFound:
            return None
        except UnicodeDecodeError:
            raise UsageError(f"{url} is not text: delete it, or name another place.") from None


def read_json(client: Client, url: str) -> Any:
    """Returns the content of the JSON at `url`, or None if there is none.

    Raises:
      UsageError: if it is damaged.
    """
    text = read_text(client, url)
    try:
        return None if text is None else json.loads(text)
    except json_files.DAMAGE as error:
        raise UsageError(
            f"{url} is damaged ({error}): delete it, or name another place."
        ) from error


def write_text(client: Client, url: str, text: str) -> None:
    """Writes `text` as UTF-8 to the object at `url`, in place of an earlier one."""
    bucket, path = bucket_address.split(url)
    with translate_errors(url):
        client.bucket(bucket).blob(path).upload_from_string(
            text, content_type="text/plain; charset=utf-8", checksum="crc32c", retry=RETRY
        )


def sizes(client: Client, url: str) -> dict[str, int]:
    """Returns the size of every object below `url`, in bytes, by its name from there."""
    return {name: blob.size for name, blob in objects(client, url).items()}


def objects(client: Client, url: str) -> dict[str, Blob]:
    """Returns name, size, crc32c and generation of every object below `url`, by name from there."""
    bucket, path = bucket_address.split(url)
    start = prefix(path)
    fields = "items(name,size,crc32c,generation),nextPageToken"
    with translate_errors(url):
        found = client.list_blobs(bucket, prefix=start, fields=fields, retry=RETRY)
        return {
            blob.name.removeprefix(start): blob
            for blob in found
            if not blob.name.endswith("/")  # the mark of a folder
        }


def exists(client: Client, url: str) -> bool:
    """Returns whether there is an object at `url`, or any below it."""
    bucket, path = bucket_address.split(url)
    with translate_errors(url):
        if path and client.bucket(bucket).blob(path).exists(retry=RETRY):
            return True
        return any(client.list_blobs(bucket, prefix=prefix(path), max_results=1, retry=RETRY))


def encode_checksum(crc32c: google_crc32c.Checksum) -> str:
    """Returns a checksum as objects have it, in base64."""
    return base64.b64encode(crc32c.digest()).decode()


def prefix(path: str) -> str:
    """Returns the prefix of the names of all objects below a path."""
    return f"{path}/" if path else ""


@contextmanager
def translate_errors(url: str, role: str = "roles/storage.objectUser") -> Iterator[None]:
    """Turns errors of the service, the network and the credentials into one sentence.

    Args:
      url: what is read or written.
      role: on the bucket, which would allow that.

    Raises:
      UsageError: if the bucket does not exist, or it is not allowed.
      NoCredentials: if the credentials are no longer valid.
      Unavailable: if it fails for now, after retries.
      CannotWrite: for any other reason.
    """
    try:
        yield
    except FAILURES as error:
        raise _translate(error, url, role) from None  # its text may hold signed URLs


def _translate(error: Exception, url: str, role: str) -> ExitError:
    if isinstance(error, RetryError):
        error = error.cause
    bucket = f"gs://{bucket_address.split(url)[0]}"
    response = getattr(error, "response", None)
    status = getattr(error, "code", None) or getattr(response, "status_code", None)
    if isinstance(error, RefreshError) or status == 401:
        return credentials.NoCredentials(
            "the Google Cloud credentials of this machine are no longer valid: run gcloud auth "
            "application-default login."
        )
    if isinstance(error, DataCorruption):
        return CannotWrite(f"{url} was damaged on its way: repeat the command.")
    if status == 403:
        return UsageError(
            f"these credentials may not use {url}{_server_message(response)}: grant them {role} "
            f"on {bucket}, or use others."
        )
    if status == 404:
        return UsageError(f"{bucket} does not exist: make it, or name another.")
    if status == 412:
        return CannotWrite(f"{url} was written by another process meanwhile: wait for it to end.")
    if status is None or status in (408, 429) or status >= 500:
        name = f"status {int(status)}" if status else type(error).__name__
        return Unavailable(
            f"{bucket} cannot be reached for now ({name}): check the network, and repeat the "
            "command later."
        )
    return CannotWrite(f"{url} was refused (status {int(status)}){_server_message(response)}.")


def _server_message(response: requests.Response | None) -> str:
    """Returns the service's message in parentheses, without the addresses in the error."""
    if response is None:
        return ""
    try:
        reason = response.json()["error"]["message"].strip().splitlines()[0]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return ""
    return f" ({reason.rstrip('.')[:SHOWN]})"


def _similar_buckets(client: Client, bucket: str) -> str:
    """Returns a hint at buckets of the project with similar names."""
    with suppress(*FAILURES, ValueError):  # ValueError: no project is known
        names = [other.name for other in client.list_buckets(max_results=1000, retry=None)]
        if near := difflib.get_close_matches(bucket, names, n=3):
            return f"; the project has {', '.join(near)}"
    return ""
