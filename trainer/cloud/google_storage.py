"""A bucket as submitting a job needs it, through Google's own client; nothing loads TensorFlow."""

import base64
import difflib
import json
import os
import re
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

from trainer.cloud import credentials
from trainer.system.errors import CannotWrite, ExitError, Unavailable, UsageError

RETRY = DEFAULT_RETRY.with_delay(0.5, 16.0, 2.0).with_timeout(120.0)  # seconds
BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
ADDRESS = re.compile(r"gs://([^/]*)(?:/(.*))?")
SHOWN = 200  # characters of what the service says
FAILURES = (
    *(GoogleAPIError, GoogleAuthError, InvalidResponse, DataCorruption),
    *(requests.RequestException, ConnectionError),
)


def client(project: str | None = None, found: Credentials | None = None) -> Client:
    """Returns a client with the user's credentials, or none where STORAGE_EMULATOR_HOST is set.

    Args:
      project: whose buckets are listed; by default the one that the credentials go with.
      found: those credentials, where they have been looked for already.

    Raises:
      NoCredentials: if there are none.
    """
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return Client(project or "emulated", AnonymousCredentials())
    if found is None:
        found, its_project = credentials.find()
        project = project or its_project
    return Client(project, found)


def split(url: str) -> tuple[str, str]:
    """Returns the bucket and the path that "gs://BUCKET/PATH/" names, here "BUCKET" and "PATH".

    Raises:
      UsageError: if it is no such address.
    """
    address = ADDRESS.fullmatch(url)
    if not address:
        raise UsageError(f"{url!r} is not in a bucket: give gs://BUCKET/PATH.")
    bucket, path = address[1], address[2] or ""
    if not BUCKET.fullmatch(bucket):
        raise UsageError(
            f"{bucket!r} in {url!r} cannot be the name of a bucket: that has 3 to 222 lowercase "
            "letters, digits, dots, dashes and underscores, and starts and ends with a letter or "
            "a digit."
        )
    return bucket, path.strip("/")


def region(client: Client, bucket: str) -> str:
    """Returns where a bucket is: "us-central1", or "us" or "nam4" for one of several regions.

    Raises:
      UsageError: if it does not exist or may not be seen.
      Unavailable: if nobody can tell for now.
    """
    with translate_errors(f"gs://{bucket}", role="roles/storage.legacyBucketReader"):
        try:
            return client.get_bucket(bucket, retry=RETRY).location.lower()
        except NotFound:
            raise UsageError(f"gs://{bucket} does not exist{_others(client, bucket)}.") from None


def check_writable(client: Client, url: str) -> None:
    """Writes an empty object below `url` and removes it.

    Raises:
      UsageError: if that is not allowed.
      Unavailable: if it fails for now.
    """
    bucket, path = split(url)
    with translate_errors(url):
        probe = client.bucket(bucket).blob(f"{below(path)}.writable-{uuid.uuid4().hex}")
        probe.upload_from_string(b"", retry=RETRY)  # a name of its own: it replaces nothing
        with suppress(NotFound):  # removed, though the answer was lost
            probe.delete(retry=RETRY)


def read_text(client: Client, url: str) -> str | None:
    """Returns what the object at `url` holds, or None if there is none."""
    bucket, path = split(url)
    with translate_errors(url):
        try:
            return client.bucket(bucket).blob(path).download_as_bytes(retry=RETRY).decode()
        except NotFound:
            return None
        except UnicodeDecodeError:
            raise UsageError(f"{url} is no text: delete it, or name another place.") from None


def read_json(client: Client, url: str) -> Any:
    """Returns what the JSON at `url` holds, or None if there is none.

    Raises:
      UsageError: if it is damaged.
    """
    text = read_text(client, url)
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{url} is damaged ({error}): delete it, or name another place."
        ) from error


def write_text(client: Client, url: str, text: str) -> None:
    """Writes `text` as UTF-8 to the object at `url`, in place of what it held."""
    bucket, path = split(url)
    with translate_errors(url):
        client.bucket(bucket).blob(path).upload_from_string(
            text, content_type="text/plain; charset=utf-8", checksum="crc32c", retry=RETRY
        )


def sizes(client: Client, url: str) -> dict[str, int]:
    """Returns the bytes of every object below `url`, by its name from there."""
    return {name: blob.size for name, blob in objects(client, url).items()}


def objects(client: Client, url: str) -> dict[str, Blob]:
    """Returns name, size, crc32c and generation of every object below `url`, by name from there."""
    bucket, path = split(url)
    prefix = below(path)
    fields = "items(name,size,crc32c,generation),nextPageToken"
    with translate_errors(url):
        found = client.list_blobs(bucket, prefix=prefix, fields=fields, retry=RETRY)
        return {
            blob.name.removeprefix(prefix): blob
            for blob in found
            if not blob.name.endswith("/")  # what stands for a folder
        }


def encoded(crc32c: google_crc32c.Checksum) -> str:
    """Returns a checksum as objects have theirs."""
    return base64.b64encode(crc32c.digest()).decode()


def below(path: str) -> str:
    """Returns what the names of all objects below a path start with."""
    return f"{path}/" if path else ""


@contextmanager
def translate_errors(url: str, role: str = "roles/storage.objectUser") -> Iterator[None]:
    """Ends in one sentence where the service, the network or the credentials fail.

    Args:
      url: what was asked for.
      role: what on the bucket would allow it.

    Raises:
      UsageError: if the bucket does not exist, or it is not allowed.
      NoCredentials: if the credentials are no longer valid.
      Unavailable: if it fails for now, after retries.
      CannotWrite: for any other reason.
    """
    try:
        yield
    except FAILURES as error:
        raise _ending(error, url, role) from None  # its text has addresses to write to


def _ending(error: Exception, url: str, role: str) -> ExitError:
    if isinstance(error, RetryError):
        error = error.cause
    bucket = f"gs://{split(url)[0]}"
    response = getattr(error, "response", None)
    status = getattr(error, "code", None) or getattr(response, "status_code", None)
    if isinstance(error, RefreshError) or status == 401:
        return credentials.NoCredentials(
            "Google Cloud no longer takes the credentials of this machine: run gcloud auth "
            "application-default login."
        )
    if isinstance(error, DataCorruption):
        return CannotWrite(f"{url} does not hold what was sent: repeat the command.")
    if status == 403:
        return UsageError(
            f"these credentials may not use {url}{_said(response)}: grant them {role} on {bucket}, "
            "or use others."
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
    return CannotWrite(f"{url} was refused (status {int(status)}){_said(response)}.")


def _said(response: requests.Response | None) -> str:
    """Returns the reason that the service gives, without the addresses that errors come with."""
    try:
        reason = response.json()["error"]["message"].strip().splitlines()[0]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return ""
    return f" ({reason.rstrip('.')[:SHOWN]})"


def _others(client: Client, bucket: str) -> str:
    """Returns a hint at the buckets of the project that are named like this one."""
    with suppress(*FAILURES, ValueError):  # ValueError: no project is known
        names = [other.name for other in client.list_buckets(max_results=1000, retry=None)]
        if near := difflib.get_close_matches(bucket, names, n=3):
            return f"; the project has {', '.join(near)}"
    return ""
