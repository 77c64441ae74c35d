"""Runs of trainer.task, each in a process of its own, in the folders of one series."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from etils import epath

from trainer.distribute import local_workers
from trainer.system import atomic, file_lock, gcs
from trainer.system.errors import CannotWrite, ExitError, Stopped, UsageError

ASK_SECONDS = 2.0
RESUME = "the same command goes on from there"


class RunFailed(ExitError):
    """A run failed in a way that the next ones would too."""

    def __init__(self, sentence: str, exit_code: int):
        super().__init__(sentence)
        self.exit_code = exit_code


@contextmanager
def series(workdir: epath.Path, *, shared: bool = False) -> Iterator[list[int]]:
    """Holds the folder of several runs; must be entered from the main thread.

    Args:
      workdir: the folder, which is made.
      shared: whether other jobs may hold it, too.

    Yields:
      the stop signals that have come meanwhile, which `train` passes on.

    Raises:
      UsageError: if another job has the folder, or it is that of a single run.
      CannotWrite: if it cannot be used.
    """
    try:
        with gcs.translate_errors(str(workdir)):
            gcs.make_folder(workdir)
            with (
                nullcontext() if shared else file_lock.held(workdir),
                local_workers.received(local_workers.STOP_SIGNALS) as signals,
            ):
                if (workdir / "config.json").exists():
                    raise UsageError(f"--workdir={workdir} is a run: name another folder.")
                if not shared:
                    atomic.remove_leftovers(workdir)
                yield signals
    except OSError as error:
        raise CannotWrite(f"{workdir} cannot be used ({error.strerror or error}).") from error


def train(
    workdir: epath.Path,
    task_flags: Sequence[str],
    *,
    title: str,
    signals: list[int],
    accepted: Sequence[int] = (),
    is_enough: Callable[[], bool] = lambda: False,
) -> int:
    """Runs trainer.task to its end, or resumes it, and returns its exit code.

    Args:
      workdir: of the run.
      task_flags: its other flags.
      title: of the run, for messages.
      signals: that have come; they are passed on to the run, which saves.
      accepted: exit codes that are no failure, beside 0.
      is_enough: asked every few seconds; the run is stopped, which is no failure, once it is.

    Raises:
      Stopped: at a signal.
      RunFailed: if it ends with another code.
    """
    command = [sys.executable, "-m", "trainer.task", *task_flags, f"--workdir={workdir}"]
    sent, passed_on, enough, asked = list[int](), 0, False, time.monotonic()

    def ask() -> None:
        nonlocal passed_on, enough, asked
        sent.extend(signals[passed_on:])
        passed_on = len(signals)
        if not enough and time.monotonic() - asked > ASK_SECONDS:
            asked, enough = time.monotonic(), is_enough()
            if enough:
                sent.append(signal.SIGTERM)

    failures = local_workers.run(
        command, [{**os.environ}], grace_seconds=0.0, signals=sent, meanwhile=ask
    )
    code = local_workers.exit_code(failures[0].code) if failures else 0
    if code in (128 + number for number in signals):
        check_not_stopped(signals, f"in {title}")
    if enough and code == 128 + signal.SIGTERM:
        return code
    if code not in (0, *accepted):
        raise RunFailed(
            f"{title} ended with exit code {code}, see above; once that is corrected, {RESUME}.",
            code,
        )
    return code


def check_not_stopped(signals: Sequence[int], where: str) -> None:
    """Raises Stopped if a signal has come."""
    if signals:
        number = signal.Signals(signals[0])
        raise Stopped(number, f"by {number.name} {where}; {RESUME}.")
