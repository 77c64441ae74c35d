"""Errors of TensorFlow and the operating system while a run goes on, as errors of one sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from etils import epath

from trainer.data.prepared_data import PreparedData
from trainer.distribute import cluster
from trainer.distribute.replicas import Replicas
from trainer.system import gcs
from trainer.system.errors import (
    CannotWrite,
    OutOfMemory,
    WorkerLost,
    bucket_error,
    file_error,
)

# What TensorFlow, XLA, CUDA and cuDNN say when a device has no memory left.
NO_MEMORY = re.compile(
    r"OOM when allocating[^\n]*"
    r"|[^\n]*(out of memory|OUT_OF_MEMORY|ALLOC_FAILED|Dst tensor is not initialized"
    r"|copy-out-stream is available)[^\n]*",
    re.I,
)


@contextmanager
def translate_errors(workdir: epath.Path, data: PreparedData, replicas: Replicas) -> Iterator[None]:
    """Turns errors of disk, bucket, data set, devices or other workers into an ExitError.

    Args:
      workdir: that the run writes to.
      data: that it reads.
      replicas: whose workers may be lost.

    Raises:
      DataLost, CannotWrite, Unavailable, OutOfMemory or WorkerLost.
    """
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        if reason := file_error(error):
            file = getattr(error, "filename", None) or workdir
            raise CannotWrite(
                f"{file} cannot be written to ({reason}): make room there or permit writing, "
                "then run the same command again."
            ) from error
        for split in data.splits.values():
            if split.failures:
                raise split.failures[0] from error
        if reason := gcs.reason(error):
            sentence = f"{workdir} cannot be used ({reason}): mend that and run the command again."
            raise bucket_error(error, sentence, CannotWrite) from error
        if reason := no_memory(error):
            raise OutOfMemory(
                f"a device of worker {replicas.worker} has too little memory ({reason}): lower "
                "train.batch_size, raise train.accumulate, or end what else uses the device."
            ) from error
        if replicas.workers > 1 and cluster.is_lost_worker(error):
            raise WorkerLost(
                f"worker {replicas.worker} of {replicas.workers} has lost another one "
                f"({type(error).__name__}): start all of them again, and the run resumes from its "
                "newest checkpoint."
            ) from error
        raise


def no_memory(error: Exception) -> str | None:
    """Returns in one line what could not be allocated on a device; None for any other error."""
    text = getattr(error, "message", "")
    found = NO_MEMORY.search(text)
    if not found and not isinstance(error, tf.errors.ResourceExhaustedError):
        return None
    return (found.group() if found else text).strip().splitlines()[0]
