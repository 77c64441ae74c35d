"""Prepared data sets between a bucket and the local disk: whole files, verified.

A bucket is read once: ArrayRecord's random reads need a local file. What is staged lies in a
folder named by a hash of the bucket's path and the data set's checksums, so that another data set
under the same path is another folder.
"""

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from etils import epath, epy

from trainer.data import summary_file
from trainer.system import cache, file_lock, gcs, memory, threads
from trainer.system.errors import CannotWrite, DataLost, UsageError, bucket_error

with epy.lazy_imports():  # TensorFlow
    import tensorflow as tf

    from trainer.data import dataset

ROOM = 100 * 2**30  # bytes that all staged data sets together may take
FREE_SHARE = 0.8  # of the disk's free bytes that one of them may take
AT_ONCE = 8  # files copied at the same time
ATTEMPTS = 3
NOT_WRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EEXIST),
)


def local(
    path: epath.PathLike, room: int = ROOM, folder: epath.PathLike | None = None
) -> epath.Path:
    """Returns where the prepared data set under `path` can be read at random.

    A local path is returned as it is. A bucket's data set is copied to the local disk once; the
    next call reads its summary alone. Processes of one machine that ask at once wait for the
    first of them.

    Args:
      path: as given to `radiograph prepare --out`.
      room: bytes that all staged data sets together may take.
      folder: where they are; by default $XDG_CACHE_HOME/radiograph-trainer/staged.

    Raises:
      UsageError: if it does not fit.
      DataLost: if what the bucket gives is not what was prepared.
      Unavailable: if the bucket does not answer.
    """
    path = epath.Path(path)
    if not gcs.is_gcs(path):
        return path
    with _readable(path):
        summary = _again_if_it_fails(lambda: summary_file.read(path))
    if summary is None:
        return path
    folder = epath.Path(folder or cache.folder() / "staged")
    identity = json.dumps([str(path), summary["shards"]])
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with writable(folder), file_lock.held(folder, name=f"{name}.lock", wait=True):
        if not (folder / name).exists():
            partial = folder / f"{name}.partial"
            partial.rmtree(missing_ok=True)  # of a process that was killed
            _check_room(path, summary, folder, room=room)
            try:
                _stage(path, summary, partial)
                partial.rename(folder / name)
            finally:
                partial.rmtree(missing_ok=True)
    return folder / name


@contextmanager
def writable(out: epath.Path) -> Iterator[None]:
    """Makes sure that `out` can be written, before hours of work and throughout.

    Raises:
      CannotWrite: if not, with the reason.
      Unavailable: if a bucket does not answer.
    """
    try:
        if gcs.is_gcs(out):
            probe = out / f".writable-{secrets.token_hex(8)}"
            probe.write_bytes(b"")
            probe.unlink()
        elif out.exists() and not os.access(out, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        yield
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        raise CannotWrite(f"{out} cannot be written: {error.strerror}.") from error
    except tf.errors.OpError as error:
        sentence = f"{out} cannot be written: {_reason(error)}."
        raise bucket_error(error, sentence, CannotWrite) from error


def publish(folder: epath.Path, target: epath.Path) -> None:
    """Copies every file in `folder` to `target`, unless that is the same folder."""
    if folder == target:
        return
    target.mkdir(parents=True, exist_ok=True)
    _each(lambda file: _copy(file, target / file.name), folder.iterdir())


@contextmanager
def fetched(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields a local folder with the files in `folder`: itself, or a passing copy."""
    if not gcs.is_gcs(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="fetched-") as copy:
        publish(folder, epath.Path(copy))
        yield epath.Path(copy)


def _stage(path: epath.Path, summary: dict, target: epath.Path) -> None:
    remote, files = summary_file.directory(path), summary_file.directory(target)
    files.mkdir(parents=True)

    def stage(shard: dict) -> None:
        _copy(remote / shard["file"], files / shard["file"])
        if dataset.checksum(files / shard["file"]) != shard["sha256"]:
            raise DataLost(
                f"{path}: {shard['file']} is not what was prepared (its checksum differs): "
                "prepare the data set again."
            )

    with _readable(path):
        _each(lambda shard: _again_if_it_fails(lambda: stage(shard)), summary["shards"])
    summary_file.write(target, summary)


def _again_if_it_fails(read: Callable[[], Any]) -> Any:
    """Returns what `read` does, which may fail now and then: TensorFlow's own retries are few."""
    for _ in range(ATTEMPTS - 1):
        with suppress(tf.errors.OpError, DataLost):
            return read()
    return read()


@contextmanager
def _readable(path: epath.Path) -> Iterator[None]:
    """Turns a bucket's errors into an ending."""
    try:
        yield
    except (tf.errors.OpError, FileNotFoundError) as error:
        sentence = f"{path} cannot be read: {_reason(error)}."
        raise bucket_error(error, sentence, DataLost) from error


def _reason(error: Exception) -> str:
    """Returns in a line what TensorFlow says, which may go on for pages."""
    return gcs.reason(error) or f"{str(error).splitlines()[0][:300]} ({type(error).__name__})"


def _check_room(path: epath.Path, summary: dict, folder: epath.Path, *, room: int) -> None:
    needed = sum(shard["bytes"] for shard in summary["shards"])
    taken = _size(folder)
    free = shutil.disk_usage(folder).free
    if taken + needed > room:
        raise UsageError(
            f"{path} takes {memory.gib(needed)}, and {folder} holds {memory.gib(taken)} of the "
            f"{memory.gib(room)} that it may: delete what is not needed there."
        )
    if needed > FREE_SHARE * free:
        raise UsageError(
            f"{path} takes {memory.gib(needed)}, and the disk of {folder} has {memory.gib(free)} "
            f"free, of which {FREE_SHARE:.0%} may be taken: make room, or set XDG_CACHE_HOME to a "
            "folder on another disk."
        )


def _size(folder: epath.Path) -> int:
    """Returns the bytes of all files below `folder`."""
    return sum(
        os.path.getsize(os.path.join(parent, name))
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _each(work: Callable[[Any], None], items: Iterable) -> None:
    for _ in threads.map_in_order(work, items, threads=AT_ONCE):
        pass


def _copy(source: epath.Path, target: epath.Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, dataset.BLOCK)
