"""Brings a run from its bucket to this machine: only what is missing here or differs."""

import os
from pathlib import Path

import google_crc32c
from google.cloud.storage import Blob, Client, transfer_manager

from trainer.cloud import google_storage
from trainer.cloud.transfer import WORKERS, ByteCounter, Transferred, groups
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

MARKERS = ("manifest.json", "test.json")  # mark other files as complete, and come after them
BLOCK = 2**20  # bytes


def download(client: Client, url: str, folder: Path, *, line: LiveLine) -> Transferred:
    """Brings everything below `url` to `folder`; the same call continues an interrupted one.

    A file gets its name once all of it is here.

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
    blobs = google_storage.objects(client, url)
    if not blobs:
        raise UsageError(
            f"there is nothing at {url}: name the --workdir that a run was submitted to."
        )
    for name in blobs:
        if name.startswith("/") or ".." in name.split("/"):
            raise UsageError(f"{url}/{name} would leave {folder}: no run has such a file.")
    try:
        with line, google_storage.translate_errors(url):
            missing = {n: blob for n, blob in blobs.items() if not _is_same(folder / n, blob)}
            size = sum(blob.size for blob in missing.values())
            counter = ByteCounter(line, "brought", size)
            for are_markers in (False, True):
                names = [name for name in missing if name.endswith(MARKERS) == are_markers]
                for group in groups(names):
                    _bring([(missing[name], folder / name) for name in group])
                    counter.add(sum(missing[name].size for name in group))
    except OSError as error:
        raise CannotWrite(f"{error.filename or folder}: {error.strerror}.") from error
    return Transferred(len(missing), size, len(blobs) - len(missing))


def _bring(files: list[tuple[Blob, Path]]) -> None:
    parts = [file.with_name(f".{file.name}.part") for _, file in files]
    for part in parts:
        part.parent.mkdir(parents=True, exist_ok=True)
    try:
        results = transfer_manager.download_many(
            [(blob, str(part)) for (blob, _), part in zip(files, parts, strict=True)],
            download_kwargs={"checksum": "crc32c", "retry": google_storage.RETRY},
            worker_type=transfer_manager.THREAD,
            max_workers=WORKERS,
        )
        for error, part, (_, file) in zip(results, parts, files, strict=True):
            if isinstance(error, Exception):
                raise error
            os.replace(part, file)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _is_same(file: Path, blob: Blob) -> bool:
    """Returns whether a local file has the content of an object."""
    if not file.is_file() or file.stat().st_size != blob.size:
        return False
    checksum = google_crc32c.Checksum()
    with open(file, "rb") as opened:
        while block := opened.read(BLOCK):
            checksum.update(block)
    return google_storage.encode_checksum(checksum) == blob.crc32c
