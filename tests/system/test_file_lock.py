"""A work directory belongs to one living job."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

from trainer.system import file_lock
from trainer.system.errors import UsageError

HOLDER = """
import sys, time
from etils import epath
from trainer.system import file_lock
with file_lock.held(epath.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_job_is_refused_while_the_first_lives_and_not_after_it_died(tmp_path: Path):
    workdir = epath.Path(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workdir)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        said = f"in use by another job .process {holder.pid} on"
        with pytest.raises(UsageError, match=said), file_lock.held(workdir):
            pass
        holder.send_signal(signal.SIGKILL)
    with file_lock.held(workdir):
        pass
    with file_lock.held(workdir):  # nor after it ended
        pass
