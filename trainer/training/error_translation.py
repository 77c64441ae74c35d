"""Errors of TensorFlow and the operating system while a run goes on, as errors of one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from etils import epath

from trainer.data.prepared_data import PreparedData
from trainer.distribute.replicas import Replicas
from trainer.system import gcs
from trainer.system.errors import CannotWrite, WorkerLost, bucket_error, cannot_write


@contextmanager
def translate_errors(workdir: epath.Path, data: PreparedData, replicas: Replicas) -> Iterator[None]:
    """Turns errors of the disk, a bucket, the data set or other workers into an ExitError.

    Args:
      workdir: that the run writes to.
      data: that it reads.
      replicas: whose workers may be lost.

    Raises:
      DataLost, CannotWrite, Unavailable or WorkerLost.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if reason := cannot_write(error):
            raise CannotWrite(
                f"{workdir} cannot be written to ({reason}): make room there or permit writing, "
                "then run the same command again."
            ) from error
        for split in data.splits.values():
            if split.failures:
                raise split.failures[0] from error
        if reason := gcs.reason(error):
            sentence = f"{workdir} cannot be used ({reason}): mend that and run the command again."
            raise bucket_error(error, sentence, CannotWrite) from error
        if isinstance(error, tf.errors.OpError) and replicas.workers > 1:
            raise WorkerLost(
                f"worker {replicas.worker} of {replicas.workers} has lost another one "
                f"({type(error).__name__}): start all of them again, and the run resumes from its "
                "newest checkpoint."
            ) from error
        raise
