"""Kills a training job again and again, and checks that it arrives where an unbroken one does.

python scripts/chaos.py --out=CHAOS --kills=30
python scripts/chaos.py --out=CHAOS --kills=10 --workers=2

Prints a line for each kill, then the verdict, and exits with 0 or 1. To start a job costs little
here: this process has imported all that a job needs, without running an operation of TensorFlow,
and every worker is forked from it.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from absl import flags
from alike import differences
from etils import epath
from ml_collections import ConfigDict

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.commands import program
from trainer.commands.command import Command
from trainer.config.schema import default
from trainer.data import pipeline, summary_file
from trainer.distribute.local_workers import cluster_variables
from trainer.show.logger import Logger
from trainer.system import errors
from trainer.system.errors import UsageError, WorkerLost
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.step import LoopResult

MOMENTS = ("in its start", "in a save", "later")  # in turn
# A kill comes up to so long after the checkpoint that it waits for.
LATE_SECONDS = 0.3
# A job that is to be killed pauses so long after each loop beyond the step where that is due, so
# that kills come at their steps also where this process seldom gets its turn.
PAUSE_SECONDS = 0.2
# How long all may take to end, and a run to get to where it is killed.
END_SECONDS = 300
STUCK_SECONDS = 180

_KILLS = flags.DEFINE_integer("kills", 30, "how often the job is killed", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of when it is killed, and how")
_WORKERS = flags.DEFINE_integer("workers", 1, "processes of the job", lower_bound=1, upper_bound=8)
_OUT = flags.DEFINE_string("out", None, "new folder for data, runs and logs", required=True)
_DATA = flags.DEFINE_string("data", None, "prepared data set; without one, phantoms are drawn")


class Worker:
    """A process forked from this one.

    Attributes:
      code: how it ended, negative for a signal that killed it; None until then.
      log: what it writes.
    """

    def __init__(self, log: Path, environment: dict[str, str], main: Callable[[], object]):
        self.log = log
        self.code: int | None = None
        log.write_text("")
        sys.stdout.flush()  # else the child would print it once more
        self._pid = os.fork()
        if self._pid == 0:
            output = os.open(log, os.O_WRONLY)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.update(environment)
            program.run(lambda _: main(), Command(), parse=lambda argv: argv[:1])

    def ended(self) -> bool:
        """Returns whether the process is gone."""
        if self.code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def is_training(self) -> bool:
        """Returns whether it has said what it trains; the chief does when all have joined."""
        return " parameters, " in self.log.read_text()

    def kill(self, number: int) -> None:
        """Sends a signal, unless the process has ended."""
        if not self.ended():
            os.kill(self._pid, number)


class Brake(Logger):
    """Slows a job down once it has taken some steps."""

    def __init__(self, after: int):
        self._after = after

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Pauses, if this loop was beyond that step."""
        del result, timer
        if progress.step >= self._after:
            time.sleep(PAUSE_SECONDS)


@dataclass(frozen=True)
class Job:
    """A run that is started as often as need be."""

    config: ConfigDict
    workdir: Path
    workers: int
    steps: int

    @contextmanager
    def started(self, loggers: Sequence[Logger] = ()) -> Iterator[list[Worker]]:
        """Starts every worker, to go on where the run stands; leaves none behind."""
        workers = [
            Worker(
                self.workdir.with_name(f"{self.workdir.name}-worker-{index}.log"),
                environment,
                lambda: train.train_and_evaluate(self.config, self.workdir, loggers=loggers),
            )
            for index, environment in enumerate(
                cluster_variables(self.workers) if self.workers > 1 else [{}]
            )
        ]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.kill(signal.SIGKILL)

    def finish(self) -> float:
        """Runs it to its end, and returns the seconds that the first checkpoint took."""
        began, saved = time.monotonic(), self.saved()
        with self.started() as workers:
            wait(lambda: self.saved() > saved or any(w.ended() for w in workers))
            seconds = time.monotonic() - began
            wait(lambda: all([w.ended() for w in workers]), 10 * STUCK_SECONDS)
        if any(w.code for w in workers):
            raise Failure(f"a run that nobody killed ended with {[w.code for w in workers]}")
        return seconds

    def saved(self) -> int:
        """Returns the step of the newest checkpoint, -1 before the first."""
        whole_ones = checkpoint.complete(epath.Path(self.workdir) / "checkpoints")
        return checkpoint.step_and_epoch(whole_ones[-1])[0] if whole_ones else -1

    def saving(self) -> bool:
        """Returns whether there is half a checkpoint."""
        folders = (self.workdir / "checkpoints").glob("step-*")
        return any(not (folder / checkpoint.MANIFEST).exists() for folder in folders)


class Death(NamedTuple):
    """How a job was killed.

    Attributes:
      when: one of MOMENTS, or soon after.
      saved: the step of its newest checkpoint.
      sent: the signal that each worker got.
      codes: how each worker ended.
      seconds: from the signals until all workers were gone.
    """

    when: str
    saved: int
    sent: list[signal.Signals | None]
    codes: list[int | None]
    seconds: float

    def __str__(self) -> str:
        names = ", ".join(number.name if number else "-" for number in self.sent)
        return (
            f"{names} {self.when}, step {self.saved} saved: "
            f"ended with {', '.join(map(str, self.codes))} in {self.seconds:.2f} s"
        )


class Failure(errors.ExitError):
    """What the job should not have done."""


def main(argv: Sequence[str]) -> None:
    """Runs the job unbroken and killed, and compares."""
    del argv
    out = Path(_OUT.value).absolute()
    if out.exists() and any(out.iterdir()):
        raise UsageError(f"--out={out} is not empty: name a new folder.")
    out.mkdir(parents=True, exist_ok=True)
    draws, kills, workers = random.Random(_SEED.value), _KILLS.value, _WORKERS.value
    data = _DATA.value
    if data is None:
        data = str(out / "data")
        prepare = (sys.executable, "-m", "trainer", "prepare", "--noaudit", "--source=phantom:120")
        subprocess.run([*prepare, f"--out={data}"], check=True, capture_output=True)
    summary = summary_file.read(data)
    if summary is None:
        raise UsageError(f"--data={data} is no data set: make one with radiograph prepare.")
    images = summary["splits"]["train"]["images"]
    config = small_config(data, epochs=max(3, kills * 2 // 3))
    total = pipeline.steps(config.train.epochs * images, config.train.batch_size)
    unbroken, killed = (Job(config, out / name, workers, total) for name in ("unbroken", "killed"))
    began = time.monotonic()
    start_seconds = unbroken.finish()
    print(
        f"unbroken: {total} steps in {time.monotonic() - began:.0f} s, "
        f"{start_seconds:.1f} of them until the first checkpoint",
        flush=True,
    )
    deaths = []
    early = range(total * 2 // 3)  # a start that is killed late trains on, too
    for number, step in enumerate(sorted(draws.choices(early, k=kills)), 1):
        when = MOMENTS[number % len(MOMENTS)]
        deaths.append(kill_once(killed, step, draws, when=when, start_seconds=start_seconds))
        print(f"kill {number:>2} of {kills}: {deaths[-1]}", flush=True)
    killed.finish()
    found = differences(unbroken.workdir, killed.workdir, total, 0.0 if workers == 1 else 1e-6)
    if found:
        raise Failure("the killed run differs: " + "; ".join(found))
    slowest = {death.when: death.seconds for death in sorted(deaths, key=lambda d: d.seconds)}
    times = ", ".join(f"{seconds:.2f} s {when}" for when, seconds in slowest.items())
    print(f"verdict: alike after {kills} kills; at the longest they took {times}")


def small_config(data: str, epochs: int) -> ConfigDict:
    """Returns a job with everything that draws or averages switched on, which starts quickly."""
    config = default()
    config.name = "chaos"
    config.data.path = data
    config.data.image_size = 48
    config.augment.rotation_range = 20.0
    config.augment.zoom_range = 0.2
    config.augment.horizontal_flip = True
    config.augment.jit_compile = False
    config.model.name = "article"
    config.model.dropout = 0.3
    config.train.epochs = epochs
    config.train.batch_size = 8
    config.train.ema = 0.9
    config.schedule.name = "cosine"
    config.checkpoint.every_steps = 3
    config.summaries.times = 0
    return config


def wait(until: Callable[[], bool], seconds: float = STUCK_SECONDS) -> None:
    """Returns once `until()` holds.

    Raises:
      Failure: if it does not come to hold.
    """
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > seconds:
            raise Failure(f"a job has been stuck for {seconds} s")
        time.sleep(0.005)


def kill_once(
    job: Job, step: int, draws: random.Random, *, when: str, start_seconds: float
) -> Death:
    """Starts the job, and kills it in its start, or after it has saved `step` and a new one."""
    step = max(step, job.saved() + 1)
    with job.started([Brake(after=step)]) as workers:

        def reach(moment: Callable[[], bool]) -> None:
            wait(lambda: moment() or any([worker.ended() for worker in workers]))

        if when != "in its start":
            reach(lambda: job.saved() >= step)
        elif len(workers) > 1:  # until all have joined, each waits minutes for the others
            reach(workers[0].is_training)
        if when == "in a save":
            reach(job.saving)
        else:
            time.sleep(draws.uniform(0, start_seconds if when == "in its start" else LATE_SECONDS))
        trained = job.saved() == job.steps
        if trained and all([worker.ended() and worker.code == 0 for worker in workers]):
            # It had only to be evaluated.
            return kill_once(job, step, draws, when=when, start_seconds=start_seconds)
        kinds = (signal.SIGKILL, signal.SIGTERM)[: 1 if when == "in a save" else 2]
        spared = draws.choice((None, *range(len(workers)))) if len(workers) > 1 else None
        sent = [None if i == spared else draws.choice(kinds) for i in range(len(workers))]
        silent = [not worker.is_training() for worker in workers]
        began = time.monotonic()
        for worker, number in zip(workers, sent, strict=True):
            if number is not None:
                worker.kill(number)
        wait(lambda: all([worker.ended() for worker in workers]), END_SECONDS)
        seconds = time.monotonic() - began
    for worker, number, unheard in zip(workers, sent, silent, strict=True):
        allowed = {-number if number == signal.SIGKILL else 128 + signal.SIGTERM}
        if signal.SIGKILL in sent and number != signal.SIGKILL:
            allowed.add(WorkerLost.exit_code)
        if unheard or trained:  # it does not listen yet, or no more
            allowed |= {0, -signal.SIGTERM}
        check_end(worker, allowed)
    return Death(when, job.saved(), sent, [worker.code for worker in workers], seconds)


def check_end(worker: Worker, allowed: set[int]) -> None:
    """Raises a Failure unless a worker ended with an allowed code, and said why in one line."""
    lines = worker.log.read_text().splitlines()
    endings = [line for line in lines if line.startswith(("stopped: ", "error: "))]
    if worker.code not in allowed:
        raise Failure(f"{worker.log} ended with {worker.code}, not {sorted(allowed)}")
    if ((worker.code or 0) > 0 and len(endings) != 1) or "Traceback" in "".join(lines):
        raise Failure(f"{worker.log} does not say in one line why it ended")


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
