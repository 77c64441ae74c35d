"""What TensorFlow and the operating system raise when a disk, a data set or a worker fails."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from etils import epath

from trainer import bucket
from trainer.data.pipeline import UNREADABLE
from trainer.distribute import Replicas
from trainer.entry import CannotWrite, DataLost, PeerLost, of_bucket

CANNOT_WRITE = (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT)


@contextmanager
def explained(workdir: epath.Path, replicas: Replicas) -> Iterator[None]:
    """Turns what a run may meet with into an Ending of one sentence.

    Args:
      workdir: of the run.
      replicas: whose workers may be lost.

    Raises:
      DataLost, CannotWrite, Unavailable or PeerLost.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if reason := cannot_write(error):
            raise CannotWrite(
                f"{workdir} cannot be written to ({reason}): make room there or let it be "
                "written, then give the same command again."
            ) from error
        if UNREADABLE in str(error):
            sentence = str(error).split(UNREADABLE)[1].splitlines()[0]
            raise DataLost(f"{UNREADABLE}{sentence}") from error
        if reason := bucket.reason(error):
            raise of_bucket(error, CannotWrite)(
                f"{workdir} cannot be used ({reason}): mend that, then give the same command again."
            ) from error
        if isinstance(error, tf.errors.OpError) and replicas.workers > 1:
            raise PeerLost(
                f"worker {replicas.worker} of {replicas.workers} has lost another one "
                f"({type(error).__name__}): start all of them again, and the run goes on from its "
                "newest checkpoint."
            ) from error
        raise


def cannot_write(error: OSError | tf.errors.OpError) -> str | None:
    """Returns why a file cannot be written, if that is what went wrong."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in CANNOT_WRITE else None
    reasons = map(os.strerror, CANNOT_WRITE)  # TensorFlow passes on the words without the number
    return next((reason for reason in reasons if reason in error.message), None)
