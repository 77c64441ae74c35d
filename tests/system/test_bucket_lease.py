"""A folder of a bucket has one job at a time; a dead one keeps it for a stated time."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from trainer.distribute.preemption import StopSignals
from trainer.system import bucket_lease, file_lock
from trainer.system.errors import Stopped, UsageError

NAME = "lock"
HOLDER = """
import sys, time
from trainer.system import bucket_lease
with bucket_lease.held(sys.argv[1], "lock"):
    print("held", flush=True)
    time.sleep(60)
"""
ON_ANOTHER_MACHINE = {"token": "b", "host": "other", "process": 7, "machine": "x"}


@pytest.fixture
def folder(bucket, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A folder of a bucket, where time runs fifty times as fast."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("RENEW_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(bucket_lease, name, getattr(bucket_lease, name) / 50)
    return f"gs://bucket/{request.node.name}"


def lease_of(folder: str, **holder: object) -> bucket_lease._Lease:
    """A lease that another job has written and does not renew."""
    lease = bucket_lease._Lease(folder, NAME)
    lease._holder |= holder
    lease._write(0)
    return lease


def exists(folder: str) -> bool:
    return bucket_lease._Lease(folder, NAME)._blob().exists()


def test_second_job_is_refused_with_holder_and_time_and_not_after_the_first_ended(folder: str):
    with bucket_lease.held(folder, NAME):
        words = rf"in use by another job \(process {os.getpid()} on \S+\).*stale in 1\d\d s unless"
        with pytest.raises(UsageError, match=words), bucket_lease.held(folder, NAME):
            pass
        with bucket_lease.held(folder, "other"):
            pass
    assert not exists(folder)
    with file_lock.held(folder):
        pass


def test_job_killed_on_this_machine_is_followed_at_once(folder: str):
    command = [sys.executable, "-c", HOLDER, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
        began = time.monotonic()
        with bucket_lease.held(folder, NAME):  # not yet waited for, the process is a zombie
            assert time.monotonic() - began < 10


def test_lease_of_another_machine_is_taken_over_once_it_is_stale(
    folder: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(bucket_lease, "STALE_SECONDS", 1.0)
    lease_of(folder, **ON_ANOTHER_MACHINE)
    began = time.monotonic()
    with bucket_lease.held(folder, NAME):
        assert 0.5 < time.monotonic() - began < 10
    printed = capsys.readouterr().err
    assert "left by another job (process 7 on other)" in printed and printed.count("\n") == 1


def test_job_that_waits_for_a_lease_hears_a_stop_signal(folder: str):
    lease_of(folder, **ON_ANOTHER_MACHINE)
    began = time.monotonic()
    with StopSignals() as signals:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(Stopped), bucket_lease.held(folder, NAME, sleep=signals.sleep):
            pass
    assert time.monotonic() - began < 10
    assert exists(folder)  # of the other job still


def test_renewals_that_fail_end_nothing_and_are_made_up_for(bucket, folder: str):
    lease = bucket_lease._Lease(folder, NAME)
    lease.take()
    first = lease._generation
    bucket.fail(uploads=3)
    _wait_for(lambda: lease._generation != first)
    lease._blob().delete()  # by a user
    second = lease._generation
    _wait_for(lambda: lease._generation not in (0, second))
    lease._generation = 1  # as after a write whose answer was lost
    _wait_for(lambda: lease._generation != 1)
    assert lease._thread.is_alive()
    lease.give_back()
    assert not exists(folder)


def test_job_whose_lease_another_has_taken_ends(
    folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
):
    ended = threading.Event()
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", lambda code: (codes.append(code), ended.set()))
    with bucket_lease.held(folder, NAME):
        bucket_lease._Lease(folder, NAME)._blob().delete()
        lease_of(folder, **ON_ANOTHER_MACHINE)
        assert ended.wait(20)
    assert codes[0] == 2
    assert "has been taken over by another job (process 7 on other)" in capfd.readouterr().err


def test_bucket_that_refuses_the_lease_costs_a_warning(
    bucket, folder: str, capsys: pytest.CaptureFixture
):
    bucket.fail(read_only=1)
    entered = False
    with bucket_lease.held(folder, NAME):
        entered = True
    warning = capsys.readouterr().err
    assert entered and warning.startswith(f"warning: {folder} cannot be kept from a second job")
    assert warning.count("\n") == 1


def _wait_for(holds) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)
