"""What happens to one of two workers, and how each of them ends then."""

import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from tests.forks import Forks
from trainer.config.schema import default
from trainer.distribute.local_workers import cluster_variables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# What a worker runs: the job, in which something happens to it at step 4.
WORKER = """
import os, signal, sys, time
import tensorflow as tf
from trainer import train
from trainer.commands import program
from trainer.commands.command import Command
from trainer.config import recipe
from trainer.system import watchdog
from trainer.training import run_folder
from trainer.training.progress import Progress

add_loop = Progress.add_loop
with open(f"{sys.argv[1]}.pid", "w") as file:
    file.write(str(os.getpid()))

def add(progress, result):
    add_loop(progress, result)
    if progress.step >= 4:
        exec(sys.argv[3])

Progress.add_loop, run_folder.VISIBLE_SECONDS, watchdog.MINUTE = add, 1, float(sys.argv[4])
main = lambda argv: train.train_and_evaluate(recipe.read(argv[1]), argv[2])
program.run(main, Command(arguments=("config", "workdir", "event", "minute")))
"""
NOTHING = "None"

Pair = Callable[..., list[subprocess.CompletedProcess]]


@pytest.fixture
def pair(forks: Forks, tiny: ConfigDict, tmp_path: Path) -> Pair:
    """Runs two workers, each with its event, config and work directory."""
    tiny.model.name, tiny.data.image_size, tiny.summaries.times = "article", 48, 0
    tiny.distribute.strategy, tiny.checkpoint.every_steps = "multi_worker", 2
    tiny.augment = default().augment  # which takes long to compile

    def pair(
        *events: str,
        workdirs: tuple[str, str] = ("run", "run"),
        changes: dict | None = None,
        minute: float = 60,
    ) -> list[subprocess.CompletedProcess]:
        def run(number: int) -> subprocess.CompletedProcess:
            config = tiny.copy_and_resolve_references()
            config.update_from_flattened_dict((changes or {}) if number else {})
            file = tmp_path / f"config-{number}.json"
            file.write_text(config.to_json())
            workdir = tmp_path / workdirs[number]
            environment = os.environ | places[number]
            arguments = ("-c", WORKER, file, workdir, events[number], minute)
            return forks.run(*arguments, environment=environment, timeout=200)

        places = cluster_variables(2)
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(run, range(2)))

    return pair


def ending(worker: subprocess.CompletedProcess) -> str:
    """The line that says why a worker has ended, which no traceback follows."""
    assert "Traceback" not in worker.stderr
    (line,) = [line for line in worker.stderr.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize("killed", [0, 1])
def test_worker_that_loses_another_ends_with_75(pair: Pair, killed: int):
    events = [NOTHING, NOTHING]
    events[killed] = "os.kill(os.getpid(), signal.SIGKILL)"
    ended = pair(*events)
    left = 1 - killed
    assert (ended[killed].returncode, ended[left].returncode) == (-signal.SIGKILL, 75)
    assert f"worker {left} of 2 has lost another one" in ending(ended[left])


def test_worker_without_memory_says_so_and_blames_no_other(pair: Pair):
    chief, worker = pair(NOTHING, "tf.zeros([1 << 45])")
    assert worker.returncode == 71
    assert "worker 1 has too little memory (OOM when allocating tensor" in ending(worker)
    assert "lower train.batch_size, raise train.accumulate" in ending(worker)
    assert chief.returncode == 75 and "has lost another one" in ending(chief)


def test_work_directory_that_a_worker_does_not_see_is_refused_at_once(pair: Pair, tmp_path: Path):
    for worker in pair(NOTHING, NOTHING, workdirs=("run", "elsewhere")):
        assert worker.returncode == 2
        assert "worker 1 of 2 does not see --workdir=" in ending(worker)
        assert "storage that all workers share" in ending(worker)
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"distribute.cpu_devices": 2}, "devices=2 x CPU, but worker 0 devices=1 x CPU"),
        ({"checkpoint.every_steps": 3}, "checkpoint.every_steps=3, but worker 0 checkpoint.every"),
    ],
)
def test_workers_that_differ_are_refused_before_they_could_wait_for_ever(
    pair: Pair, tmp_path: Path, changes: dict, difference: str
):
    for worker in pair(NOTHING, NOTHING, changes=changes):
        assert worker.returncode == 2 and f"worker 1 has {difference}" in ending(worker)
    assert not (tmp_path / "run").exists()


def test_worker_that_another_keeps_waiting_ends_and_so_does_the_other(pair: Pair, tmp_path: Path):
    os.mkfifo(tmp_path / "disk")  # a read from it does not return
    event = f"open({str(tmp_path / 'disk')!r}).read()"
    chief, worker = pair(NOTHING, event, minute=0.8)
    assert chief.returncode == worker.returncode == 75
    assert "worker 1 has not got on with a training loop for" in ending(worker)
    (file,) = (tmp_path / "run/stacks").glob("worker-1-*.txt")
    assert "<string>" in file.read_text()  # the read
    assert ending(chief)  # by its own watchdog, or as it has lost the other


def test_frozen_worker_ends_the_other(pair: Pair):
    # Had the other one only waited, both would go on when this one does.
    freeze = """
import subprocess
if not hasattr(train, "frozen"):
    other = open(sys.argv[1].replace("config-0", "config-1") + ".pid").read()
    until_it_is_gone = f"timeout 40 tail --pid={other} -f /dev/null"
    thaw = f"{until_it_is_gone}; kill -CONT {os.getpid()}"
    train.frozen = subprocess.Popen(["bash", "-c", thaw])
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    ended = pair(freeze, NOTHING, minute=1.5)
    assert [worker.returncode for worker in ended] == [75, 75]
