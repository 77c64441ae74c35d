"""One job at a time in a folder."""

import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from etils import epath

from trainer.system import bucket_lease, gcs
from trainer.system.errors import UsageError

FILE = ".radiograph-trainer.lock"  # a name that no file of the user's has
LOOK_SECONDS = 0.2
UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def held(
    folder: epath.PathLike,
    *,
    name: str = FILE,
    wait: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Keeps other jobs out of `folder` until this one leaves it or dies.

    The operating system releases the lock with the process, however it ends; in a bucket it is a
    lease, which becomes stale. On a file system without locks a warning says so.

    Args:
      folder: a folder that exists.
      name: of the lock file in it; jobs with different names do not exclude each other.
      wait: whether to wait for another job rather than to raise an error.
      sleep: waits for so many seconds, to see whether a lease in a bucket is renewed.

    Raises:
      UsageError: if another job has the lock, unless `wait`.
    """
    if gcs.is_gcs(folder):
        with bucket_lease.held(str(folder), name, sleep=sleep):
            yield
        return
    with open(os.path.join(folder, name), "a+") as file:
        try:
            _lock(file, wait=wait, sleep=sleep)
        except BlockingIOError:
            raise UsageError(
                f"{folder} is in use by another job ({_holder(file)}): wait for it or stop it, or "
                "name another folder."
            ) from None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            print(
                f"warning: the file system of {folder} has no locks ({error.strerror}), so nothing "
                "keeps a second job out of it: start only one at a time.",
                file=sys.stderr,
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield


def is_held(folder: epath.PathLike, *, name: str = FILE) -> bool:
    """Returns whether a job is at work in `folder`, without keeping another from beginning.

    In a bucket it is one that has renewed its lease of late, by the clock of this machine.
    """
    file = epath.Path(folder) / name
    try:
        if gcs.is_gcs(folder):
            return file.exists() and time.time() - file.stat().mtime < bucket_lease.STALE_SECONDS
        with open(file) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or it may not be read
        return False
    return False


def _lock(file: IO[str], *, wait: bool, sleep: Callable[[float], object]) -> None:
    if wait:
        return fcntl.flock(file, fcntl.LOCK_EX)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sleep(LOOK_SECONDS)  # `is_held` of another process may have it for a moment
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    return file.read().strip()
