"""Public sets by download: resumed where it broke off, and kept only if the checksum is right."""

import hashlib
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from etils import epy

from trainer.system import file_lock
from trainer.system.errors import UsageError

with epy.lazy_imports():
    import requests
    import tqdm

LOGGER = logging.getLogger(__name__)

CONNECT_SECONDS, SILENCE_SECONDS = 15, 60
ATTEMPTS = 6  # in a row without a byte more
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0  # doubled after each attempt
CHUNK_BYTES = 2**16  # a connection that breaks off loses at most so much
BUSY = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Download:
    """A file of a public set.

    Attributes:
      url: where it is.
      file: its name in the cache folder.
      checksum: "sha256:..." or "md5:...", in hexadecimal.
    """

    url: str
    file: str
    checksum: str


def _pneumoniamnist(suffix: str, md5: str) -> Download:
    file = f"pneumoniamnist{suffix}.npz"
    return Download(f"https://zenodo.org/records/10519652/files/{file}", file, f"md5:{md5}")


PUBLIC = {
    # doi:10.17632/rscbjbr9sj.2; Mendeley gives no checksum, this one is reported by others.
    "kermany": Download(
        "https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/"
        "f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded",
        "ChestXRay2017.zip",
        "sha256:13efc055629733dbab07877f8b3c9f81097840dbcdaa326a8542322c2281ce36",
    ),
    # MedMNIST v2, doi:10.5281/zenodo.10519652, which gives the checksums.
    "medmnist:pneumoniamnist": _pneumoniamnist("", "28209eda62fecd6e6a2d98b1501bb15f"),
    "medmnist:pneumoniamnist_64": _pneumoniamnist("_64", "8f4eceb4ccffa70c672198ea285246c6"),
    "medmnist:pneumoniamnist_128": _pneumoniamnist("_128", "05b46931834c231683c68f40c47b2971"),
}


def fetch(download: Download, folder: Path) -> Path:
    """Returns the file in `folder`, downloaded unless it is there, its checksum verified.

    What has arrived is kept in FILE.part, and the next attempt or the next call goes on from
    there. Proxies are taken from the environment.

    Raises:
      UsageError: if there is no network, the server refuses, the disk is full, or the bytes are
        wrong; the sentence says where to put the file by hand.
    """
    file = folder / download.file
    if file.exists():
        if _checksum(file, download.checksum) != download.checksum:
            raise UsageError(
                f"{file} is not the published file (its checksum differs): delete it to download "
                "it again, or give it as --source to use it as it is."
            )
        return file
    part = folder / f"{download.file}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock.held(folder):
            _complete(download, part)
            if _checksum(part, download.checksum) != download.checksum:
                _discard(part)
                raise UsageError(
                    f"{download.url} sent other bytes than published (the checksum differs), and "
                    f"they were removed: try again, or {_by_hand(download, file)}"
                )
            part.replace(file)
            _discard(part)
    except requests.RequestException as mistake:
        raise UsageError(
            f"{download.url} cannot be downloaded ({_reason(mistake)}): {_by_hand(download, file)}"
        ) from None
    except OSError as mistake:
        raise UsageError(f"{folder} cannot be written: {mistake}.") from None
    return file


def _complete(download: Download, part: Path) -> None:
    """Downloads until `part` is whole; gives up after ATTEMPTS without a byte more.

    Raises:
      requests.RequestException: of the last attempt.
    """
    most, failures = _size(part), 0
    while True:
        try:
            return _attempt(download, part)
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as mistake:
            arrived = _size(part)
            failures = 1 if arrived > most else failures + 1
            most = max(most, arrived)
            if failures == ATTEMPTS:
                raise
            pause = min(PAUSE_SECONDS * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS)
            reason = _reason(mistake)
        LOGGER.warning("%s: %s; trying again in %.0f s.", download.url, reason, pause)
        time.sleep(pause)


def _attempt(download: Download, part: Path) -> None:
    start, version = _size(part), _version_file(part)
    # Compressed transfer would make the ranges those of other bytes.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if version.exists():
            headers["If-Range"] = version.read_text()
    timeout = (CONNECT_SECONDS, SILENCE_SECONDS)
    with requests.get(download.url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        if status == requests.codes.requested_range_not_satisfiable and start:
            return  # all of it had arrived; the checksum tells
        if status in BUSY:
            raise requests.ConnectionError(f"the server answers {status}")
        response.raise_for_status()
        resumed = status == requests.codes.partial_content and response.headers.get(
            "Content-Range", ""
        ).startswith(f"bytes {start}-")
        if not resumed:
            start = 0
            _remember_version(version, response.headers.get("ETag", ""))
        _write(response, part, start=start, name=download.file)


def _write(response: "requests.Response", part: Path, *, start: int, name: str) -> None:
    length = response.headers.get("Content-Length", "")
    bar = tqdm.tqdm(
        total=start + int(length) if length.isdigit() else None,
        initial=start,
        desc=name,
        unit="B",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    )
    with bar, part.open("ab" if start else "wb") as file:
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))


def _remember_version(file: Path, etag: str) -> None:
    """Keeps the entity tag; a weak one says nothing of bytes, and If-Range forbids it."""
    file.unlink(missing_ok=True)
    if etag and not etag.startswith("W/"):
        file.write_text(etag)


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _checksum(file: Path, like: str) -> str:
    """Returns the file's checksum in the algorithm of `like`."""
    algorithm = like.partition(":")[0]
    with file.open("rb") as content:
        state = hashlib.new(algorithm, usedforsecurity=False)
        while chunk := content.read(2**20):
            state.update(chunk)
    return f"{algorithm}:{state.hexdigest()}"


def _reason(mistake: "requests.RequestException") -> str:
    if mistake.response is not None:
        return f"the server answers {mistake.response.status_code}"
    if isinstance(mistake, requests.exceptions.SSLError):
        return "its certificate cannot be verified"
    if isinstance(mistake, requests.Timeout):
        return "the server is silent"
    text = str(mistake)
    return text if text.startswith("the server answers") else "no connection, or it broke off"


def _by_hand(download: Download, file: Path) -> str:
    return f"download it by hand from {download.url} and put it at {file}."
