"""Decoded images of a split in one file, which runs and workers share: mapped, not read.

A file holds a page with the header, [N, S, S, 1] uint8 images, [N, K] float32 labels and [N]
uint32 checksums of the images. The header is the SHA-256 of the rest of the page, which is JSON:
what the file holds, and the SHA-256 of all that follows the images. A file appears when it is
whole.
"""

import dataclasses
import hashlib
import json
import logging
import math
import mmap
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import PIL
from etils import epath

from trainer.system import cache, file_lock, gcs

LOGGER = logging.getLogger(__name__)

FOLDER = "pixels"
HEADER = 4096  # bytes
ALIGNMENT = 64  # bytes; TensorFlow takes a tensor from memory only if it begins so
COMPARED = 64  # images whose checksums are compared when a file is opened
NO_RESERVE = 0x4000  # MAP_NORESERVE of Linux: a file may be larger than the memory
NAME = re.compile(r"[0-9a-f]{16}-(train|validation|test)-\d+-(squash|pad|crop)\.pixels")

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Content:
    """What a file holds, and the key that it is found by.

    Attributes:
      dataset_fingerprint: of the prepared data set.
      split: "train", "validation" or "test".
      images: number of them, N.
      labels: of an image, K.
      side: of the square S, pixels.
      fit: how an image fits the square, see `trainer.data.decode.fit`.
      decoder: that made the pixels.
    """

    dataset_fingerprint: str
    split: str
    images: int
    labels: int
    side: int
    fit: str
    decoder: str = f"Pillow {PIL.__version__}"

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.dataset_fingerprint[:16]}-{self.split}-{self.side}-{self.fit}.pixels"

    @property
    def image_bytes(self) -> int:
        """Bytes of an image."""
        return self.side**2

    @property
    def tail(self) -> int:
        """Where labels and checksums begin."""
        end = HEADER + self.images * self.image_bytes
        return -(-end // ALIGNMENT) * ALIGNMENT

    @property
    def bytes(self) -> int:
        """Bytes of the whole file."""
        return self.tail + 4 * self.images * (self.labels + 1)


@dataclass(frozen=True)
class Found:
    """A file in a folder.

    Attributes:
      file: its path.
      bytes: of it.
      used: when a run opened it last, in seconds since 1970.
    """

    file: Path
    bytes: int
    used: float


class Damaged(ValueError):
    """A file does not hold what it should; the message says in what."""


def folder_of(data_set: epath.PathLike) -> Path:
    """Returns the folder of the files of a data set: in it, unless it cannot be written there.

    Those of a bucket, and of a folder that is for reading alone, are in the user's cache.

    Raises:
      UsageError: if that is needed, and the user has no home folder.
    """
    if not gcs.is_gcs(data_set):
        beside = Path(data_set) / FOLDER
        if os.access(beside if beside.exists() else data_set, os.W_OK):
            return beside
    return cache.folder() / FOLDER


def exists(folder: Path, content: Content) -> bool:
    """Returns whether there is a file of that name and size, without reading it."""
    file = folder / content.name
    return file.is_file() and file.stat().st_size == content.bytes


def open_or_make(
    folder: Path, content: Content, decoded: Callable[[], Iterable[Arrays]], *, room: int
) -> Arrays:
    """Returns images [N, S, S, 1] uint8 and labels [N, K] float32 of a file, mapped into memory.

    Processes that ask at once wait for the first of them, which decodes.

    Args:
      folder: of the file; it is made where it is missing.
      content: of the file.
      decoded: returns the images and labels of all records in order, some at a time.
      room: bytes that all files in the folder may take; those that were not used for longest go.

    Raises:
      OSError: if the file cannot be written.
    """
    with suppress(Damaged):
        if found := open_mapped(folder, content):
            return found
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock.held(folder, name=f"{content.name}.lock", wait=True):
        try:
            if found := open_mapped(folder, content):
                return found
        except Damaged as reason:
            LOGGER.warning("%s is made anew: %s.", folder / content.name, reason)
        remove_oldest(folder, room - content.bytes, but=content.name)
        _make(folder, content, decoded())
        made = open_mapped(folder, content)
    assert made is not None, "another process removed a file that was just made"
    return made


def open_mapped(folder: Path, content: Content) -> Arrays | None:
    """Returns images and labels of a file, mapped into memory; None where there is no file.

    Its size, header, labels and some of its images are verified.

    Raises:
      Damaged: if it does not hold `content`, whole.
    """
    file = folder / content.name
    try:
        with open(file, "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            if size != content.bytes:
                raise Damaged(f"it has {size:,} bytes, and not {content.bytes:,}")
            # What is written to this memory, which nothing does, would not reach the file.
            mapped = mmap.mmap(opened.fileno(), 0, mmap.MAP_PRIVATE | NO_RESERVE)
    except FileNotFoundError:
        return None
    if mapped[:HEADER] != _header(content, mapped[content.tail :]):
        raise Damaged("its header or its labels are not those of this data set, or are damaged")
    shapes = (content.images, content.side, content.side, 1), (content.images, content.labels)
    images, labels = (
        np.frombuffer(mapped, kind, math.prod(shape), start).reshape(shape)
        for kind, shape, start in zip(
            (np.uint8, np.float32), shapes, (HEADER, content.tail), strict=True
        )
    )
    checksums = np.frombuffer(mapped, np.uint32, content.images, content.bytes - 4 * content.images)
    for number in np.linspace(0, content.images - 1, min(COMPARED, content.images), dtype=int):
        if zlib.crc32(images[number]) != checksums[number]:
            raise Damaged(f"image {number} is not what was decoded")
    with suppress(OSError):  # another user's
        os.utime(file)
    return images, labels


def listed(folder: Path) -> list[Found]:
    """Returns the whole files in a folder, those first that were not used for longest."""
    found = []
    for file in folder.iterdir() if folder.is_dir() else ():
        if NAME.fullmatch(file.name):
            status = file.stat()
            found.append(Found(file, status.st_size, status.st_mtime))
    return sorted(found, key=lambda one: one.used)


def remove_oldest(folder: Path, room: int, *, but: str = "") -> list[Found]:
    """Removes files until the others take no more than `room` bytes, and returns the removed ones.

    A run that has mapped one keeps it. What a killed process left goes, too; nothing that this
    module did not write does.

    Args:
      folder: of the files.
      room: bytes.
      but: name of the file that stays.
    """
    for file in _partial(folder):
        if not file_lock.is_held(folder, name=f"{file.stem}.lock"):
            file.unlink(missing_ok=True)
    files = [one for one in listed(folder) if one.file.name != but]
    taken, removed = sum(one.bytes for one in files), []
    for one in files:
        if taken <= room:
            break
        one.file.unlink(missing_ok=True)
        one.file.with_name(f"{one.file.name}.lock").unlink(missing_ok=True)
        removed.append(one)
        taken -= one.bytes
    return removed


def _partial(folder: Path) -> Iterator[Path]:
    for file in folder.glob("*.partial"):
        if NAME.fullmatch(file.stem):
            yield file


def _make(folder: Path, content: Content, decoded: Iterable[Arrays]) -> None:
    partial = folder / f"{content.name}.partial"
    try:
        with open(partial, "wb") as file:
            _write(file, content, decoded)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / content.name)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write(file: IO[bytes], content: Content, decoded: Iterable[Arrays]) -> None:
    labels, checksums = [np.zeros((0, content.labels), np.float32)], []
    file.seek(HEADER)
    for images, image_labels in decoded:
        file.write(images.data)
        labels.append(image_labels)
        checksums += [zlib.crc32(image) for image in images]
    tail = np.concatenate(labels).tobytes() + np.array(checksums, np.uint32).tobytes()
    file.seek(content.tail)
    file.write(tail)
    file.seek(0)
    file.write(_header(content, tail))


def _header(content: Content, tail: bytes) -> bytes:
    described = dataclasses.asdict(content) | {"tail_sha256": hashlib.sha256(tail).hexdigest()}
    text = json.dumps(described).encode().ljust(HEADER - 64)
    return hashlib.sha256(text).hexdigest().encode() + text
