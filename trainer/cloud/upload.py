"""Sends a prepared data set to a bucket: only what is missing or differs, and its summary last."""

import hashlib
import io
import json
import mimetypes
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud.storage import Blob, Bucket, Client
from google.cloud.storage.exceptions import DataCorruption

from trainer.cloud import google_storage
from trainer.cloud.transfer import Counted, Transfer
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

SUMMARY = "data_summary.json"
BESIDE = ("audit.html", "audit.json")  # sent where they are there
# What tells one data set from another, as trainer prepare was asked for it.
RECIPE = ("fingerprint", "max_side", "keep_official_validation", "any_view", "uniform")
PIECE = 16 * 2**20  # bytes of a large file in one request, all of them in memory
BLOCK = 2**20  # bytes read at once for a checksum
SECONDS = 300.0  # that one request may take; a slow line has eight of them at a time


class Uploaded(NamedTuple):
    """Files and bytes that were sent, and files that the bucket had already."""

    files: int
    bytes: int
    unchanged: int


@dataclass(frozen=True)
class File:
    """A file of the data set.

    Attributes:
      name: from the data set's folder.
      size: bytes.
      sha256: of a shard, as it was prepared.
    """

    name: str
    path: Path
    size: int
    sha256: str | None = None


def upload(client: Client, folder: Path, url: str, line: LiveLine | None = None) -> Uploaded:
    """Sends the prepared data set in `folder` to `url`, where a job can read it.

    What is there already, by size and CRC32C, is not sent again. So the same call goes on after
    an interrupted one, and KeyboardInterrupt may come at any time. The summary, which marks the
    data set as finished, is removed before a shard is replaced, and written after all others have
    been seen in the bucket.

    Args:
      client: of `google_storage.client`.
      folder: as trainer prepare writes it.
      url: gs://BUCKET/PATH.
      line: shows the progress.

    Raises:
      UsageError: if `folder` holds no whole data set, `url` holds another one, or may not be used.
      CannotWrite: if another process writes there, or to `folder`.
      Unavailable: if the service or the network fails for long.
    """
    line = line or LiveLine(quiet=True)
    try:
        with line, google_storage.told(url):
            return _upload(client, folder, url.rstrip("/"), line)
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error


def _upload(client: Client, folder: Path, url: str, line: LiveLine) -> Uploaded:
    summary, files = prepared(folder)
    there = google_storage.objects(client, url)
    if SUMMARY in there:
        _check_same(summary, google_storage.read_text(client, f"{url}/{SUMMARY}"), url)
    sums = _checksums(files, line)
    changed = [file for file in files if not _is(there.get(file.name), file.size, sums[file.name])]
    if SUMMARY in there and any(file.sha256 for file in changed):
        with suppress(NotFound):  # removed, though the answer was lost
            there.pop(SUMMARY).delete(retry=google_storage.RETRY)

    name, path = google_storage.split(url)
    bucket, below = client.bucket(name), google_storage.below(path)

    def send(name: str, content: BinaryIO | Counted, size: int, crc32c: str) -> None:
        replaced = there[name].generation if name in there else 0
        _send(bucket, below + name, content, size, crc32c, replaced)

    _send_all(send, changed, sums, line)
    _check_all_there(google_storage.objects(client, url), files, sums, url)
    sent = [file.size for file in changed]
    crc32c = google_storage.encoded(google_crc32c.Checksum(summary))
    if not _is(there.get(SUMMARY), len(summary), crc32c):
        send(SUMMARY, io.BytesIO(summary), len(summary), crc32c)
        sent.append(len(summary))
    return Uploaded(len(sent), sum(sent), len(files) + 1 - len(sent))


def prepared(folder: Path) -> tuple[bytes, list[File]]:
    """Returns the summary of the data set in `folder`, and its other files."""
    if not (folder / SUMMARY).is_file():
        raise UsageError(
            f"{folder} holds no prepared data set: make one with python -m trainer prepare "
            f"--out={folder}."
        )
    summary = (folder / SUMMARY).read_bytes()
    try:
        shards = [
            (shard["file"], shard["bytes"], shard["sha256"])
            for shard in json.loads(summary)["shards"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder / SUMMARY} is damaged, or of an earlier version: prepare the data set again "
            "into another folder, or delete this one."
        ) from error
    # tensorflow-datasets describes what it wrote in NAME/VERSION below the folder.
    home = max(folder.glob("*/*/dataset_info.json"), default=folder / SUMMARY).parent
    files = [
        File((home / name).relative_to(folder).as_posix(), home / name, size, sha256)
        for name, size, sha256 in shards
    ]
    for file in files:
        if not file.path.is_file() or file.path.stat().st_size != file.size:
            raise _damaged(file)
    beside = [folder / name for name in BESIDE if (folder / name).is_file()]
    return summary, files + [File(path.name, path, path.stat().st_size) for path in beside]


def _damaged(file: File) -> UsageError:
    return UsageError(
        f"{file.path} is missing or not what was prepared: delete that folder, and prepare the "
        "data set again."
    )


def _check_same(mine: bytes, theirs: str | None, url: str) -> None:
    """Raises a UsageError if the two summaries are those of different data sets."""
    if theirs is None:
        return
    try:
        summary = json.loads(theirs)
        same = all(json.loads(mine).get(name) == summary.get(name) for name in RECIPE)
        source = summary.get("source")
    except (ValueError, AttributeError):
        same, source = False, None
    if not same:
        raise UsageError(
            f"{url} holds another data set, made from {source or 'something'} or in another way: "
            f"name another place, or delete it with gcloud storage rm --recursive {url}."
        )


def _checksums(files: list[File], line: LiveLine) -> dict[str, str]:
    """Returns the CRC32C of each file by name, in base64.

    Raises:
      UsageError: if a shard is not what was prepared.
    """
    transfer = Transfer(line, "checked", sum(file.size for file in files))

    def checksum(file: File) -> str:
        crc32c, sha256 = google_crc32c.Checksum(), hashlib.sha256()
        with open(file.path, "rb") as opened:
            while block := opened.read(BLOCK):
                crc32c.update(block)
                sha256.update(block)
                transfer.add(len(block))
        if file.sha256 not in (None, sha256.hexdigest()):
            raise _damaged(file)
        return google_storage.encoded(crc32c)

    sums = transfer.each(checksum, files)
    return {file.name: crc32c for file, crc32c in zip(files, sums, strict=True)}


def _send_all(
    send: Callable[[str, Counted, int, str], None],
    files: list[File],
    sums: Mapping[str, str],
    line: LiveLine,
) -> None:
    transfer = Transfer(line, "sent", sum(file.size for file in files))

    def send_file(file: File) -> None:
        with open(file.path, "rb") as opened:
            if os.fstat(opened.fileno()).st_size != file.size:
                raise _changed(file.name)
            counted = Counted(opened, transfer)
            send(file.name, counted, file.size, sums[file.name])
            counted.settle()

    transfer.each(send_file, sorted(files, key=lambda file: -file.size))


def _send(
    bucket: Bucket, name: str, content: BinaryIO | Counted, size: int, crc32c: str, replaced: int
) -> None:
    """Writes an object in place of its generation `replaced`, where 0 is none.

    It starts again, once, if the service has lost the session of a large file, or put it together
    wrongly.
    """
    for last in (False, True):
        blob = bucket.blob(name, chunk_size=PIECE)
        try:
            blob.upload_from_file(
                content,
                size=size,
                content_type=mimetypes.guess_type(name)[0] or "application/octet-stream",
                if_generation_match=replaced,
                checksum="crc32c",
                timeout=SECONDS,
                retry=google_storage.RETRY,
            )
            break
        except (GoogleAPICallError, DataCorruption) as error:
            status = getattr(error, "code", None)
            if status not in (None, 404, 410, 412):
                raise
            found = bucket.get_blob(name, retry=google_storage.RETRY)
            if _is(found, size, crc32c):  # it had arrived, and the answer was lost
                return
            if last or status == 412:
                raise
            replaced = replaced if found and found.generation == replaced else 0
            content.seek(0)
    if not _is(blob, size, crc32c):
        raise _changed(name)


def _changed(name: str) -> CannotWrite:
    return CannotWrite(f"{name} changed while it was sent: repeat the command.")


def _check_all_there(
    there: Mapping[str, Blob], files: list[File], sums: Mapping[str, str], url: str
) -> None:
    for file in files:
        if not _is(there.get(file.name), file.size, sums[file.name]):
            raise CannotWrite(
                f"{url}/{file.name} was changed by another process meanwhile: wait for it to end, "
                "and repeat the command."
            )


def _is(blob: Blob | None, size: int, crc32c: str) -> bool:
    return blob is not None and (blob.size, blob.crc32c) == (size, crc32c)
