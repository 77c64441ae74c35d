"""An error of TensorFlow ends a run with the code of its cause."""

import errno
import os
from types import SimpleNamespace

import pytest
import tensorflow as tf
from etils import epath

from trainer.distribute.replicas import Replicas
from trainer.system.errors import CannotWrite, OutOfMemory, WorkerLost
from trainer.training.error_translation import translate_errors

ABORTED = "Collective ops is aborted by: "
ERRORS = tf.errors
FREE_MEMORY = "CUDA_ERROR_OUT_OF_MEMORY: out of memory"


def raised(error: Exception, workers: int = 2) -> Exception:
    """What comes out of the block where `error` is raised on the last worker."""
    replicas = Replicas(None, "", workers, workers - 1)
    with (
        pytest.raises(Exception) as found,
        translate_errors(epath.Path("RUN"), SimpleNamespace(splits={}), replicas),
    ):
        raise error
    return found.value


@pytest.mark.parametrize(
    "error",
    [
        ERRORS.UnavailableError(None, None, f"{ABORTED}The following tasks are unhealthy"),
        ERRORS.DeadlineExceededError(None, None, f"{ABORTED}Deadline Exceeded"),
        ERRORS.FailedPreconditionError(None, None, "its current incarnation doesn't match"),
        ERRORS.InternalError(None, None, "NCCL: unhandled system error"),
    ],
)
def test_what_collectives_raise_is_the_loss_of_a_worker_where_there_are_several(error: Exception):
    assert type(raised(error)) is WorkerLost
    assert raised(error, workers=1) is error


@pytest.mark.parametrize(
    "error",
    [
        ERRORS.ResourceExhaustedError(None, None, "failed to allocate\nmemory"),
        ERRORS.InternalError(None, None, "Copy: Dst tensor is not initialized."),
        ERRORS.AbortedError(None, None, "Copy: No send gpu copy-out-stream is available."),
        ERRORS.InternalError(None, None, f"see below\n{FREE_MEMORY}\nat a node"),
    ],
)
def test_device_without_memory_is_no_loss_of_a_worker(error: Exception):
    for workers in (1, 2):
        found = raised(error, workers)
        assert type(found) is OutOfMemory and "\n" not in str(found)
        assert f"a device of worker {workers - 1} has too little memory" in str(found)


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EFBIG, errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG]
)
def test_file_that_cannot_be_used_is_named_with_the_code(number: int):
    sentence = os.strerror(number)
    for error in (
        OSError(number, sentence, "RUN/history.json"),
        ERRORS.UnknownError(None, None, f"RUN/history.json; {sentence}"),
    ):
        found = raised(error)
        assert type(found) is CannotWrite and errno.errorcode[number] in str(found)
    assert "RUN/history.json" in str(raised(OSError(number, sentence, "RUN/history.json")))
    lost = ConnectionResetError(errno.ECONNRESET, "reset")
    assert raised(lost) is lost


def test_full_disk_is_not_the_memory_of_a_device():
    error = ERRORS.ResourceExhaustedError(None, None, "RUN/x; No space left on device")
    assert type(raised(error)) is CannotWrite


@pytest.mark.parametrize("kind", [ERRORS.NotFoundError, ERRORS.InvalidArgumentError])
def test_other_errors_are_what_they_were(kind: type[tf.errors.OpError]):
    error = kind(None, None, "no such file")
    assert raised(error) is error
