"""One job at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from etils import epath

from trainer.system import gcs
from trainer.system.errors import UsageError

FILE = ".radiograph-trainer.lock"  # a name that no file of the user's has


@contextmanager
def held(workdir: epath.Path) -> Iterator[None]:
    """Keeps other jobs out of `workdir` until this one leaves it or dies.

    The operating system lets go of the lock with the process, however it ends. A bucket has no
    such lock: there nothing is held.

    Raises:
      UsageError: if another job has it.
    """
    if gcs.is_gcs(workdir):
        yield
        return
    with open(workdir / FILE, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"{workdir} is in use by another job ({file.read().strip()}): wait for it or "
                "stop it, or name another folder."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield
