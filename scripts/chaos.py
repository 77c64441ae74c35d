"""Kills a training job again and again, and checks that it arrives where an unbroken one does.

python scripts/chaos.py --out=CHAOS --kills=30
python scripts/chaos.py --out=CHAOS --kills=10 --workers=2

Prints a line for each kill, then the verdict, and exits with 0 or 1.
"""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from etils import epy
from ml_collections import ConfigDict

from trainer.commands import program
from trainer.commands.command import Command
from trainer.config.schema import default
from trainer.data import summary_file
from trainer.system.errors import UsageError, WorkerLost

with epy.lazy_imports():  # TensorFlow, once this process is set up for it
    import alike
    import forked_job

    from trainer.data import pipeline

MOMENTS = ("in its start", "in a save", "later")  # in turn
# A kill comes up to so long after the checkpoint that it waits for.
LATE_SECONDS = 0.3

_KILLS = flags.DEFINE_integer("kills", 30, "how often the job is killed", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "of when it is killed, and how")
_WORKERS = flags.DEFINE_integer("workers", 1, "processes of the job", lower_bound=1, upper_bound=8)
_OUT = flags.DEFINE_string("out", None, "new folder for data, runs and logs", required=True)
_PATIENCE = flags.DEFINE_integer(
    "patience",
    1800,
    "seconds that the job may take to be where it is killed, to end, or to finish",
    lower_bound=1,
)
_DATA = flags.DEFINE_string("data", None, "prepared data set; without one, phantoms are drawn")


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
    unbroken, killed = (
        forked_job.Job(config, out / name, workers, total, _PATIENCE.value)
        for name in ("unbroken", "killed")
    )
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
    found = alike.differences(
        unbroken.workdir, killed.workdir, total, 0.0 if workers == 1 else 1e-6
    )
    if found:
        raise forked_job.Failure("the killed run differs: " + "; ".join(found))
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
    config.profile.flops = False  # takes longer than its training
    return config


def kill_once(
    job: "forked_job.Job", step: int, draws: random.Random, *, when: str, start_seconds: float
) -> Death:
    """Starts the job, and kills it in its start, or after it has saved `step` and a new one."""
    step = max(step, job.saved() + 1)
    with job.started([forked_job.Brake(after=step)]) as workers:

        def reach(moment: Callable[[], bool]) -> None:
            job.wait(lambda: moment() or any([worker.ended() for worker in workers]))

        if when != "in its start":
            reach(lambda: job.saved() >= step)
        elif len(workers) > 1:  # until all have joined, each waits minutes for the others
            reach(workers[0].is_training)
        if when == "in a save":
            reach(job.saving)
        else:
            is_one = when == "in its start" and len(workers) == 1
            time.sleep(draws.uniform(0, start_seconds if is_one else LATE_SECONDS))
        trained = job.saved() == job.steps
        if trained and all([worker.ended() and worker.code == 0 for worker in workers]):
            # It had only to be evaluated, and saves nothing any more.
            return kill_once(job, step, draws, when=MOMENTS[0], start_seconds=start_seconds)
        kinds = (signal.SIGKILL, signal.SIGTERM)[: 1 if when == "in a save" else 2]
        spared = draws.choice((None, *range(len(workers)))) if len(workers) > 1 else None
        sent = [None if i == spared else draws.choice(kinds) for i in range(len(workers))]
        silent = [not worker.is_training() for worker in workers]
        began = time.monotonic()
        for worker, number in zip(workers, sent, strict=True):
            if number is not None:
                worker.kill(number)
        job.wait(lambda: all([worker.ended() for worker in workers]))
        seconds = time.monotonic() - began
    for worker, number, unheard in zip(workers, sent, silent, strict=True):
        allowed = {-number if number == signal.SIGKILL else 128 + signal.SIGTERM}
        if signal.SIGKILL in sent and number != signal.SIGKILL:
            allowed.add(WorkerLost.exit_code)
        if unheard or trained:  # it does not listen yet, or no more
            allowed |= {0, -signal.SIGTERM}
        check_end(worker, allowed)
    return Death(when, job.saved(), sent, [worker.code for worker in workers], seconds)


def check_end(worker: "forked_job.Worker", allowed: set[int]) -> None:
    """Raises a Failure unless a worker ended with an allowed code, and said why in one line."""
    lines = worker.log.read_text().splitlines()
    endings = [line for line in lines if line.startswith(("stopped: ", "error: "))]
    if worker.code not in allowed:
        raise forked_job.Failure(f"{worker.log} ended with {worker.code}, not {sorted(allowed)}")
    if ((worker.code or 0) > 0 and len(endings) != 1) or "Traceback" in "".join(lines):
        raise forked_job.Failure(f"{worker.log} does not say in one line why it ended")


if __name__ == "__main__":
    program.run(main, Command(purpose=__doc__))
