"""Workers on this machine: started as one cluster, watched, and started again."""

import contextlib
import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, NamedTuple

from trainer.system.errors import FINAL, RESUMABLE, UsageError, WorkerLost

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
POLL_SECONDS = 0.05
PR_SET_PDEATHSIG = 1  # of linux/prctl.h


class Failure(NamedTuple):
    """A worker that failed: its exit code, negative for the signal that killed it."""

    worker: int
    code: int

    def __str__(self) -> str:
        if self.code < 0:
            return f"worker {self.worker} was killed by {signal.Signals(-self.code).name}"
        return f"worker {self.worker} ended with exit code {self.code}"


def launch(
    command: Sequence[str],
    *,
    workers: int = 1,
    devices: int = 1,
    max_restarts: int = 3,
    grace_seconds: float = 60.0,
    newest_checkpoint: Callable[[], str | None] = lambda: None,
) -> int:
    """Runs `command` as every worker of a cluster on this machine and returns the exit code.

    All workers are started again if one was killed or another start goes on, unless the error of
    one is final. Restarts count until there is a new checkpoint: what makes progress ends some day.

    SIGTERM, SIGINT and SIGUSR1 are passed on to the workers, after which nothing is restarted.
    Must be called from the main thread, which receives the signals.

    Args:
      command: of each worker, which finds its number in TF_CONFIG.
      workers: processes to start.
      devices: GPUs that each worker sees, where there are GPUs.
      max_restarts: how often all workers are started again without a new checkpoint.
      grace_seconds: how long the others may take to end, before they are killed.
      newest_checkpoint: returns the name of the run's newest checkpoint.

    Returns:
      0 if all workers succeeded, else the code of the most telling failure: one that a restart
      cannot help, or the first; 128+n if signal n killed the worker.

    Raises:
      UsageError: if there are fewer GPUs than the workers need.
      OSError: if the command cannot be started.
    """
    slices = _device_slices(workers, devices)
    shared = {**os.environ, "PYTHONUNBUFFERED": "1"}
    saved, restart = None, 0
    with received(STOP_SIGNALS) as signals:
        while True:
            tasks = zip(cluster_variables(workers), slices, strict=True)
            environments = [shared | place | gpus for place, gpus in tasks]
            failures = run(command, environments, grace_seconds=grace_seconds, signals=signals)
            if not failures:
                return 0
            worst = min(
                failures, key=lambda f: (f.code not in FINAL, f.code == WorkerLost.exit_code)
            )
            if worst.code in FINAL or signals or not any(map(_may_resume, failures)):
                break
            before, saved = saved, newest_checkpoint()
            restart = 1 if saved != before else restart + 1
            if restart > max_restarts:
                print(f"{worst}: given up after {max_restarts} restarts", file=sys.stderr)
                break
            print(f"{worst}: restart {restart} of {max_restarts}", file=sys.stderr)
    return exit_code(worst.code)


def _may_resume(failure: Failure) -> bool:
    return failure.code < 0 or failure.code in RESUMABLE


def visible_gpus() -> list[str]:
    """Returns CUDA's names of the GPUs that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(index) for index, _ in enumerate(glob.glob("/dev/nvidia[0-9]*"))]
    return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]


def _device_slices(workers: int, devices: int) -> list[dict[str, str]]:
    """Returns the environment variables that show each worker its own GPUs, if there are any."""
    gpus = visible_gpus()
    if not gpus:
        return [{}] * workers
    if workers * devices > len(gpus):
        raise UsageError(
            f"--workers={workers} with --devices={devices} need {workers * devices} GPUs, but "
            f"{len(gpus)} are visible: give less of either, or CUDA_VISIBLE_DEVICES= for the CPU."
        )
    starts = range(0, workers * devices, devices)
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[s : s + devices])} for s in starts]


def cluster_variables(workers: int) -> list[dict[str, str]]:
    """Returns the TF_CONFIG of each worker, on ports that are free at the moment."""
    cluster = {"worker": free_addresses(workers)}
    tasks = [{"type": "worker", "index": index} for index in range(workers)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def free_addresses(count: int) -> list[str]:
    """Returns addresses of this machine, on ports that are free at the moment."""
    with contextlib.ExitStack() as stack:  # all open at once, so that no port is given twice
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]


@contextlib.contextmanager
def received(watched: Sequence[signal.Signals]) -> Iterator[list[int]]:
    """Collects the signals that arrive, in place of their usual effect."""
    signals: list[int] = []
    before = {s: signal.signal(s, lambda number, _: signals.append(number)) for s in watched}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    command: Sequence[str],
    environments: Sequence[Mapping[str, str]],
    *,
    grace_seconds: float,
    signals: list[int],
    meanwhile: Callable[[], None] = lambda: None,
) -> list[Failure]:
    """Runs the workers until all have ended, and returns those that failed, in order.

    Args:
      command: of each worker.
      environments: of each worker.
      grace_seconds: how long the others may take to end after one has failed.
      signals: from `received()`; they are passed on as they come.
      meanwhile: called again and again while they run.
    """
    running: dict[int, subprocess.Popen] = {}
    failures: list[Failure] = []
    passed_on, deadline = 0, float("inf")
    try:
        for index, environment in enumerate(environments):
            running[index] = _start(command, environment, piped=len(environments) > 1)
        relays = _relay_all(running)
        while running:
            time.sleep(POLL_SECONDS)
            meanwhile()
            new = signals[passed_on:]
            passed_on += len(new)
            for number in new:
                for worker in running.values():
                    worker.send_signal(number)
            for index in [i for i, worker in running.items() if worker.poll() is not None]:
                worker = running.pop(index)
                _kill(worker)  # what it started and left behind
                if worker.returncode:
                    failures.append(Failure(index, worker.returncode))
                # One that obeyed a signal leaves the others time to save.
                if exit_code(worker.returncode) not in (0, *(128 + s for s in signals)):
                    deadline = min(deadline, time.monotonic() + grace_seconds)
            if running and time.monotonic() > deadline:
                for index in running:
                    message = f"worker {index} did not end within {grace_seconds:g} s and is killed"
                    print(message, file=sys.stderr)
                break
    finally:
        for worker in running.values():
            _kill(worker)
            worker.wait()
    for relay in relays:
        relay.join()
    return failures


def _start(command: Sequence[str], environment: Mapping[str, str], piped: bool) -> subprocess.Popen:
    pipe = subprocess.PIPE if piped else None
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,  # a terminal's Ctrl-C reaches it once, through the launcher
        preexec_fn=_end_with(os.getpid()) if sys.platform == "linux" else None,
    )


def _end_with(launcher: int) -> Callable[[], None]:
    """Returns what a worker calls to receive SIGTERM when the launcher dies."""
    libc = ctypes.CDLL(None)  # loaded here, since little is safe between fork and exec

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != launcher:  # which has died before
            os._exit(128 + signal.SIGTERM)

    return ask


def _kill(worker: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def _relay_all(workers: Mapping[int, subprocess.Popen]) -> list[threading.Thread]:
    """Starts threads that pass on what the workers write to pipes."""
    lock, relays = threading.Lock(), []
    for index, worker in workers.items():
        for source, sink in ((worker.stdout, sys.stdout), (worker.stderr, sys.stderr)):
            if source:
                prefix = f"[worker {index}] ".encode()
                relay = partial(_relay, source, sink.buffer, prefix, lock=lock)
                relays.append(threading.Thread(target=relay, daemon=True))
                relays[-1].start()
    return relays


def _relay(source: IO[bytes], sink: IO[bytes], prefix: bytes, *, lock: threading.Lock) -> None:
    with source:
        for line in source:
            with lock, contextlib.suppress(BrokenPipeError):  # the job goes on if nobody reads
                sink.write(prefix + line.removesuffix(b"\n") + b"\n")
                sink.flush()


def exit_code(returncode: int) -> int:
    """Returns the exit code as shells report it: 128+n if signal n killed the process."""
    return returncode if returncode >= 0 else 128 - returncode
