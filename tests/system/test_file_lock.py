"""A work directory belongs to one living job."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trainer.system import file_lock
from trainer.system.errors import UsageError

HOLDER = """
import sys, time
from trainer.system import file_lock
with file_lock.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_by_another_process(folder: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.send_signal(signal.SIGKILL)


def test_a_second_job_is_refused_while_the_first_lives_and_not_after_it_died(tmp_path: Path):
    with held_by_another_process(tmp_path) as holder:
        refusal = f"in use by another job .process {holder.pid} on"
        with pytest.raises(UsageError, match=refusal), file_lock.held(tmp_path):
            pass
        with file_lock.held(tmp_path, name="other.lock"):
            pass
    with file_lock.held(tmp_path):
        pass
    with file_lock.held(tmp_path):  # nor after it ended
        pass


def test_who_looks_whether_a_folder_is_held_keeps_no_job_out(tmp_path: Path):
    assert not file_lock.is_held(tmp_path) and not any(tmp_path.iterdir())
    with file_lock.held(tmp_path):
        assert file_lock.is_held(tmp_path)
    assert not file_lock.is_held(tmp_path)
    with open(tmp_path / file_lock.FILE) as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        with file_lock.held(tmp_path, sleep=lambda _: fcntl.flock(looked_at, fcntl.LOCK_UN)):
            pass


def test_a_job_that_waits_goes_on_when_the_first_has_died(tmp_path: Path):
    with held_by_another_process(tmp_path) as holder:
        command = HOLDER.replace("argv[1]", "argv[1], wait=True").replace("sleep(60)", "sleep(0)")
        waiting = subprocess.Popen(
            [sys.executable, "-c", command, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        holder.send_signal(signal.SIGKILL)
        assert waiting.communicate(timeout=60)[0] == "held\n" and waiting.returncode == 0


@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, number, wait
):
    def fail(*_) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    entered = False
    with file_lock.held(tmp_path, wait=wait):
        entered = True
    warning = capsys.readouterr().err
    assert entered and warning.startswith(f"warning: the file system of {tmp_path} has no locks")
    assert warning.count("\n") == 1
