"""What TensorFlow and the operating system raise when a disk, a data set or a worker fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from etils import epath

from trainer.data.pipeline import UNREADABLE
from trainer.distribute.replicas import Replicas
from trainer.system import gcs
from trainer.system.errors import CannotWrite, DataLost, WorkerLost, cannot_write, of_bucket


@contextmanager
def translate_errors(workdir: epath.Path, replicas: Replicas) -> Iterator[None]:
    """Turns what a run may meet with into an ExitError of one sentence.

    Args:
      workdir: of the run.
      replicas: whose workers may be lost.

    Raises:
      DataLost, CannotWrite, Unavailable or WorkerLost.
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
        if reason := gcs.reason(error):
            raise of_bucket(error, CannotWrite)(
                f"{workdir} cannot be used ({reason}): mend that, then give the same command again."
            ) from error
        if isinstance(error, tf.errors.OpError) and replicas.workers > 1:
            raise WorkerLost(
                f"worker {replicas.worker} of {replicas.workers} has lost another one "
                f"({type(error).__name__}): start all of them again, and the run goes on from its "
                "newest checkpoint."
            ) from error
        raise
