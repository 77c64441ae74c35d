"""Brings a run from its bucket to this machine: only what is missing here or differs."""

import os
from pathlib import Path
from typing import NamedTuple

import google_crc32c
from google.cloud.storage import Blob, Client

from trainer.cloud import google_storage
from trainer.cloud.transfer import Transfer
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

MARKS = ("manifest.json", "test.json")  # tell that other files are whole, and come after them
BLOCK = 2**20  # bytes


class Downloaded(NamedTuple):
    """Files and bytes that were brought, and files that were here already."""

    files: int
    bytes: int
    unchanged: int


def download(client: Client, url: str, folder: Path, line: LiveLine) -> Downloaded:
    """Brings everything below `url` to `folder`; the same call goes on after an interrupted one.

    A file is here whole, under its name, or not at all.

    Args:
      client: of `google_storage.client`.
      url: gs://BUCKET/PATH.
      folder: local, made where it is missing.
      line: shows the progress.

    Raises:
      UsageError: if there is nothing, or an object's name leads out of the folder.
      CannotWrite: if `folder` cannot be written.
      Unavailable: if the service or the network fails for long.
    """
    there = google_storage.objects(client, url)
    if not there:
        raise UsageError(
            f"there is nothing at {url}: name the --workdir that a run was submitted to."
        )
    for name in there:
        if name.startswith("/") or ".." in name.split("/"):
            raise UsageError(f"{url}/{name} would leave {folder}: no run has such a file.")
    try:
        with line, google_storage.told(url):
            missing = [name for name, blob in there.items() if not _is(folder / name, blob)]
            transfer = Transfer(line, "brought", sum(there[name].size for name in missing))

            def bring(name: str) -> None:
                _bring(there[name], folder / name)
                transfer.add(there[name].size)

            last = [name for name in missing if name.endswith(MARKS)]
            transfer.each(bring, [name for name in missing if name not in last])
            transfer.each(bring, last)
    except OSError as error:
        raise CannotWrite(f"{error.filename or folder}: {error.strerror}.") from error
    size = sum(there[name].size for name in missing)
    return Downloaded(len(missing), size, len(there) - len(missing))


def _bring(blob: Blob, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    try:
        with open(part, "wb") as opened:
            blob.download_to_file(opened, checksum="crc32c", retry=google_storage.RETRY)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _is(file: Path, blob: Blob) -> bool:
    """Whether a local file is what the bucket holds."""
    if not file.is_file() or file.stat().st_size != blob.size:
        return False
    checksum = google_crc32c.Checksum()
    with open(file, "rb") as opened:
        while block := opened.read(BLOCK):
            checksum.update(block)
    return google_storage.encoded(checksum) == blob.crc32c
