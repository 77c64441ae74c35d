"""Sends files to a bucket: only what is missing or differs, and a data set's summary last."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import google_crc32c
from google.cloud.storage import Blob, Client, transfer_manager
from google.cloud.storage.exceptions import DataCorruption

from trainer.cloud import bucket_address, google_storage
from trainer.cloud.transfer import WORKERS, ByteCounter, CountedFile, Transferred, groups
from trainer.system import threads
from trainer.system.errors import CannotWrite, UsageError
from trainer.system.terminal import LiveLine

SUMMARY = "data_summary.json"
DATA_SET, RUN, FILES = KINDS = ("data set", "run", "files")
SHOWN = ("tensorboard", "pictures")  # of a run, what only its viewers read
OPTIONAL = ("audit.html", "audit.json")  # sent where the folder has them
# What distinguishes data sets: the source, and the options of radiograph prepare.
RECIPE = ("fingerprint", "max_side", "keep_official_validation", "any_view", "uniform")
PIECE = 16 * 2**20  # bytes of a large file in one request, all of them in memory
BLOCK = 2**20  # bytes read at once for a checksum
SECONDS = 300.0  # that one request may take; a slow line has eight of them at a time
ATTEMPTS = 2  # to send a file
# The service has lost the session of a large file, or has the object already: perhaps as the answer
# to an earlier request was lost.
REPEATED = (404, 410, 412)


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


class Upload(NamedTuple):
    """A local file or folder that is sent, and where to.

    Attributes:
      path: of a prepared data set, of a run, or of anything else.
      url: gs://BUCKET/PATH; of a file, its own.
      kind: one of KINDS.
    """

    path: Path
    url: str
    kind: str = DATA_SET


def upload(
    client: Client, path: Path, url: str, *, kind: str = DATA_SET, line: LiveLine | None = None
) -> Transferred:
    """Sends a data set, a run or other files to `url`, where a job can read them.

    Files that the bucket holds already, by size and CRC32C, are not sent again, so that the same
    call continues an interrupted one. The summary, which marks the data set as finished, is removed
    before a shard is replaced, and written after all others have been seen in the bucket.

    Args:
      client: of `google_storage.client`.
      path: of a data set as radiograph prepare writes it, or of what `kind` says.
      url: gs://BUCKET/PATH; of a file, its own.
      kind: one of KINDS.
      line: shows the progress.

    Raises:
      UsageError: if a data set is not whole, its place holds another one, or may not be used.
      CannotWrite: if another process writes there, or to the local files.
      Unavailable: if the service or the network fails for long.
    """
    line = line or LiveLine(quiet=True)
    try:
        with line, google_storage.translate_errors(url):
            return _upload(client, Upload(path, url.rstrip("/"), kind), line=line)
    except OSError as error:
        raise UsageError(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def _upload(client: Client, sent: Upload, *, line: LiveLine) -> Transferred:
    *data, summary = files = sent_files(sent)
    url = sent.url if sent.path.is_dir() else sent.url.rsplit("/", 1)[0]
    stored = google_storage.objects(client, url)
    if sent.kind == DATA_SET and SUMMARY in stored:
        _check_same(summary.path, google_storage.read_text(client, f"{url}/{SUMMARY}"), url)
    checksums = _checksums(files, line)
    changed = [file for file in files if not _is_stored(file, checksums, stored)]
    if any(file.sha256 for file in changed) and summary not in changed:
        changed.append(summary)
    _delete(client, url, [stored[file.name] for file in reversed(changed) if file.name in stored])
    counter = ByteCounter(line, "sent", sum(file.size for file in changed))
    for expected in (data, [summary]):
        missing = [file for file in expected if file in changed]
        for _ in range(ATTEMPTS):
            _send(client, url, missing, counter=counter)
            stored = google_storage.objects(client, url)
            missing = [file for file in expected if not _is_stored(file, checksums, stored)]
            if not missing:
                break
        else:
            raise CannotWrite(
                f"{url}/{missing[0].name} is not the file that was sent: another process writes "
                f"there, or to {sent.path}; wait for it to end, and repeat the command."
            )
    return Transferred(len(changed), sum(file.size for file in changed), len(files) - len(changed))


def sent_files(sent: Upload) -> list[File]:
    """Returns the files that are sent, a data set's summary last.

    Raises:
      UsageError: there are none, or those of a data set are not whole.
    """
    if sent.kind == DATA_SET:
        return prepared(sent.path)
    base = sent.path if sent.path.is_dir() else sent.path.parent
    found = sorted(base.rglob("*")) if sent.path.is_dir() else [sent.path]
    names = {file: file.relative_to(base) for file in found if file.is_file()}
    if sent.kind == RUN:
        names = {file: name for file, name in names.items() if name.parts[0] not in SHOWN}
    if not names:
        raise UsageError(f"{sent.path} has no files to upload: name others, or what is in gs://.")
    return [File(name.as_posix(), file, file.stat().st_size) for file, name in names.items()]


def prepared(folder: Path) -> list[File]:
    """Returns the files of the data set in `folder`, its summary last.

    Raises:
      UsageError: if there is none, or files of it are missing.
    """
    summary = folder / SUMMARY
    if not summary.is_file():
        raise UsageError(
            f"{folder} holds no prepared data set: make one with radiograph prepare --out={folder}."
        )
    try:
        shards = [
            (shard["file"], shard["bytes"], shard["sha256"])
            for shard in json.loads(summary.read_bytes())["shards"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{summary} is damaged, or of an earlier version: prepare the data set again into "
            "another folder, or delete this one."
        ) from error
    # tensorflow-datasets describes what it wrote in NAME/VERSION below the folder.
    home = max(folder.glob("*/*/dataset_info.json"), default=summary).parent
    files = [
        File((home / name).relative_to(folder).as_posix(), home / name, size, sha256)
        for name, size, sha256 in shards
    ]
    for file in files:
        if not file.path.is_file() or file.path.stat().st_size != file.size:
            raise _damaged(file)
    others = [folder / name for name in OPTIONAL if (folder / name).is_file()]
    return files + [File(path.name, path, path.stat().st_size) for path in (*others, summary)]


def _damaged(file: File) -> UsageError:
    return UsageError(
        f"{file.path} is missing or not what was prepared: delete that folder, and prepare the "
        "data set again."
    )


def _check_same(summary: Path, stored: str | None, url: str) -> None:
    """Raises a UsageError if the stored summary is that of another data set than the local one."""
    if stored is None:
        return
    try:
        local, remote = json.loads(summary.read_bytes()), json.loads(stored)
        same = all(local.get(name) == remote.get(name) for name in RECIPE)
        source = remote.get("source")
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
    counter = ByteCounter(line, "checked", sum(file.size for file in files))

    def checksum(file: File) -> str:
        crc32c, sha256 = google_crc32c.Checksum(), hashlib.sha256()
        with open(file.path, "rb") as opened:
            while block := opened.read(BLOCK):
                crc32c.update(block)
                sha256.update(block)
                counter.add(len(block))
        if file.sha256 not in (None, sha256.hexdigest()):
            raise _damaged(file)
        return google_storage.encode_checksum(crc32c)

    checksums = threads.map_in_order(checksum, files, threads=WORKERS)
    return dict(zip([file.name for file in files], checksums, strict=True))


def _is_stored(file: File, checksums: Mapping[str, str], stored: Mapping[str, Blob]) -> bool:
    blob = stored.get(file.name)
    return blob is not None and (blob.size, blob.crc32c) == (file.size, checksums[file.name])


def _delete(client: Client, url: str, blobs: list[Blob]) -> None:
    """Deletes objects, unless another process has replaced them meanwhile."""
    bucket, _ = bucket_address.split(url)
    client.bucket(bucket).delete_blobs(
        blobs,
        on_error=lambda blob: None,  # deleted already, though the answer was lost
        if_generation_match=[blob.generation for blob in blobs],
        retry=google_storage.RETRY,
    )


def _send(client: Client, url: str, files: list[File], *, counter: ByteCounter) -> None:
    """Sends files to names that no object has.

    Where the service refuses a file as repeated, the caller finds out whether it is stored.
    """
    name, path = bucket_address.split(url)
    bucket = client.bucket(name)
    for group in groups(sorted(files, key=lambda file: -file.size)):
        with ExitStack() as opened:
            pairs = []
            for file in group:
                blob = bucket.blob(google_storage.prefix(path) + file.name, chunk_size=PIECE)
                source: str | CountedFile = str(file.path)  # sent in one request, if it is small
                if file.size > PIECE:
                    source = opened.enter_context(CountedFile(file.path, counter))
                pairs.append((source, blob))
            results = transfer_manager.upload_many(
                pairs,
                skip_if_exists=True,
                upload_kwargs={
                    "checksum": "crc32c",
                    "timeout": SECONDS,
                    "retry": google_storage.RETRY,
                },
                worker_type=transfer_manager.THREAD,
                max_workers=WORKERS,
            )
        for error in results:
            repeated = isinstance(error, DataCorruption) or getattr(error, "code", 0) in REPEATED
            if isinstance(error, Exception) and not repeated:
                raise error
        counter.add(sum(file.size for file in group if file.size <= PIECE))
