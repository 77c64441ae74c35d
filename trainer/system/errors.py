"""Errors that end a program, each with one sentence and an exit code."""

import errno
import os
import signal

from trainer.system import gcs

# Errors of files that libraries pass on as text, without their number.
OF_FILES = (
    *(errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR),
)


class ExitError(Exception):
    """Ends a program early; the message is one sentence: what is wrong, where, what to do."""

    exit_code = 1


class UsageError(ExitError):
    """The user made a mistake; the sentence says what is allowed."""

    exit_code = 2


# The codes below are those of sysexits.h, so that a scheduler knows what to do.


class NotFinite(ExitError):
    """The loss is infinite or NaN; starting again does not help."""

    exit_code = 65


class DataLost(ExitError):
    """The prepared data set cannot be read any more."""

    exit_code = 66


class Unavailable(ExitError):
    """A service or the network does not answer; the same command may work later."""

    exit_code = 69


class CheckpointsDamaged(ExitError):
    """There are checkpoints, but none can be verified."""

    exit_code = 70


class OutOfMemory(ExitError):
    """A device has too little memory for the config; starting again does not help."""

    exit_code = 71


class CannotWrite(ExitError):
    """The work directory cannot be written: the disk is full, or permission is missing."""

    exit_code = 74


class WorkerLost(ExitError):
    """Another worker has ended; starting all again resumes from the newest checkpoint."""

    exit_code = 75


class Stopped(ExitError):
    """A signal stopped the program; the exit code is 128 + its number, as in shells."""

    def __init__(self, number: signal.Signals, sentence: str = ""):
        super().__init__(sentence or f"by {number.name}; the same command goes on from there.")
        self.number = number
        self.exit_code = 128 + number


# What a scheduler makes of an exit code; `scripts/slurm.sh` has the same. After the first the same
# command goes on. The second no restart mends. After the third, of a process that was killed or
# crashed before it could say why, it may: where restarts are counted, they are worth one. Any other
# is a fault of the program.
RESUMABLE = (
    *(Unavailable.exit_code, WorkerLost.exit_code),
    *(128 + signal.SIGUSR1, 128 + signal.SIGTERM),
)
FINAL = tuple(
    error.exit_code
    for error in (UsageError, NotFinite, DataLost, CheckpointsDamaged, OutOfMemory, CannotWrite)
)
KILLED = tuple(
    128 + number
    for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGSEGV)
)


def bucket_error(error: Exception, sentence: str, otherwise: type[ExitError]) -> ExitError:
    """Returns the error that ends a program after one of a bucket.

    Args:
      error: what the bucket's client raised.
      sentence: what could not be done and why.
      otherwise: the class where the error is not temporary; else it is Unavailable.
    """
    return (Unavailable if gcs.is_transient(error) else otherwise)(sentence)


def file_error(error: BaseException) -> str | None:
    """Returns why a file cannot be used, with the code; None where that is not what went wrong."""
    if isinstance(error, ConnectionError | BlockingIOError | TimeoutError):
        return None
    number = getattr(error, "errno", None)
    if number is None:  # of TensorFlow or HDF5, which pass it on as text
        text = f"{getattr(error, 'message', '')} {error}"
        number = next((n for n in OF_FILES if os.strerror(n) in text), None)
    if number is None or number not in errno.errorcode:
        return None
    return f"{os.strerror(number)}, {errno.errorcode[number]}"
