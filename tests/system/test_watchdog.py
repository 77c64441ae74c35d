"""A process that does not get on ends with its stacks; one that does is left alone."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.forks import Forks
from trainer.system import watchdog
from trainer.system.watchdog import Watchdog

PROGRAM = """
import sys, time
from trainer.system import atomic, watchdog

def wait_for_ever():
    time.sleep(100)

watchdog.FIRST, watchdog.WRITE_SECONDS = 1, 0.5
with watchdog.Watchdog(sys.argv[1], 3, 0.01) as dog, dog.watch("checkpoint"):
    exec(sys.argv[2])
    wait_for_ever()
"""


def test_work_that_does_not_return_ends_with_its_stacks_and_a_line(forks: Forks, tmp_path: Path):
    done = forks.run("-c", PROGRAM, tmp_path / "stacks", "None")
    assert done.returncode == 75
    (file,) = (tmp_path / "stacks").iterdir()
    assert file.name.startswith("worker-3-") and "in wait_for_ever" in file.read_text()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "worker 3 has not got on with a checkpoint for 0.0 minutes" in line
    assert str(file) in line


@pytest.mark.parametrize(
    "disk",
    [
        "atomic.write_bytes = lambda *file: time.sleep(100)",  # it does not answer
        "atomic.write_bytes = lambda *file: 1 / 0",
    ],
)
def test_stacks_are_shown_where_they_cannot_be_written(forks: Forks, tmp_path: Path, disk: str):
    done = forks.run("-c", PROGRAM, tmp_path / "stacks", disk)
    assert done.returncode == 75 and not (tmp_path / "stacks").exists()
    assert "in wait_for_ever" in done.stderr and "are in the lines above" in done.stderr


@pytest.fixture
def dog(monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    """One that may take 0.2 s, and notes what it would end for."""
    monkeypatch.setattr(watchdog, "MINUTE", 1)
    monkeypatch.setattr(Watchdog, "ended", [], raising=False)
    monkeypatch.setattr(Watchdog, "_end", lambda self, work: self.ended.append(work.kind))
    return Watchdog(minutes=0.2)


def test_first_of_a_kind_may_compile_and_others_take_as_long_as_their_kind(dog: Watchdog):
    with dog:
        with dog.watch("training loop"):
            time.sleep(0.4)
        with dog.watch("training loop"):
            time.sleep(0.1)
        assert not dog.ended
        dog._longest["training loop"] = 0.06
        with dog.watch("training loop"):
            time.sleep(0.4)
        assert not dog.ended
        dog._longest["training loop"] = 0.0
        with dog.watch("training loop"):
            time.sleep(0.4)
        assert set(dog.ended) == {"training loop"}


def test_loop_may_wait_for_what_others_do_before_it(dog: Watchdog):
    dog._longest = {"training loop": 0.0, "checkpoint": 0.0}
    with dog:
        with dog.watch("checkpoint"):
            time.sleep(0.4)  # of 0.6
        with dog.watch("training loop"):
            time.sleep(0.4)
    assert not dog.ended


def test_work_within_other_work_pauses_that(dog: Watchdog):
    dog._longest = {"end of an epoch": 0.0}
    with dog, dog.watch("end of an epoch"):
        for _ in range(4):
            with dog.watch("loop of an evaluation"):
                time.sleep(0.3)
    assert not dog.ended


def test_without_minutes_nothing_is_watched(dog: Watchdog):
    with Watchdog() as off, off.watch("training loop"):
        time.sleep(0.3)
    assert not dog.ended


def test_time_in_which_the_process_is_stopped_does_not_count(dog: Watchdog):
    dog._longest = {"training loop": 0.0}
    with dog, dog.watch("training loop"):
        child = f"sleep 0.7; kill -CONT {os.getpid()}"
        os.spawnlp(os.P_NOWAIT, "bash", "bash", "-c", child)
        os.kill(os.getpid(), signal.SIGSTOP)
    assert not dog.ended
