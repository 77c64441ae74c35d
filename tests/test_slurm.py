"""Under Slurm all nodes train, and the job is queued again only where that helps."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.system.errors import FINAL, KILLED, RESUMABLE

SCRIPT = Path(__file__).parents[1] / "scripts/slurm.sh"

# Starts the command as two tasks, and returns the highest of their codes.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
for task in 0 1; do SLURM_PROCID=$task "$@" & done
highest=0
for job in $(jobs -p); do
  wait "$job"
  code=$?
  ((code > highest)) && highest=$code
done
exit $highest
"""
SCONTROL = """#!/bin/bash
if [[ $1 == show ]]; then printf 'node-1\\nnode-2\\n'; else echo "$@" >>"$CALLS/requeued"; fi
"""
# Records its place and its arguments, and ends with its code, or at USR1 with 138.
PYTHON = """#!/bin/bash
trap 'exit 138' USR1
printf '%s\\n' "$TF_CONFIG" >"$CALLS/place-$SLURM_PROCID"
printf '%s\\n' "$@" >"$CALLS/arguments-$SLURM_PROCID"
echo $$ >"$CALLS/pid-$SLURM_PROCID"
read -ra codes <<<"$ENDINGS"
if [[ ${codes[$SLURM_PROCID]} == wait ]]; then sleep 30 & wait $!; fi
exit "${codes[$SLURM_PROCID]}"
"""

Job = Callable[..., subprocess.Popen]


@pytest.fixture
def begin(tmp_path: Path) -> Job:
    """Runs the script with stand-ins of Slurm's commands; its workers end with these codes."""
    for name, text in {"srun": SRUN, "scontrol": SCONTROL, "python": PYTHON}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def begin(*endings: int | str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", SCRIPT, "--config=a b.py", "--workdir=RUN"],
            cwd=tmp_path,
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                **{"CALLS": str(tmp_path), "ENDINGS": " ".join(map(str, endings))},
                **{"SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "node-[1-2]"},
            },
        )

    return begin


def requeued(folder: Path) -> bool:
    calls = folder / "requeued"
    return calls.exists() and calls.read_text() == "requeue 77\n"


def test_every_node_is_a_worker_of_one_cluster(begin: Job, tmp_path: Path):
    assert begin(0, 0).wait(20) == 0
    for number in (0, 1):
        place = json.loads((tmp_path / f"place-{number}").read_text())
        assert place["cluster"] == {"worker": ["node-1:2222", "node-2:2222"]}
        assert place["task"] == {"type": "worker", "index": number}
        arguments = (tmp_path / f"arguments-{number}").read_text().splitlines()
        assert arguments == ["-m", "trainer.task", "--config=a b.py", "--workdir=RUN"]
    assert not requeued(tmp_path) and not list(tmp_path.glob("exit-codes-*"))


@pytest.mark.parametrize("code", RESUMABLE)
def test_job_that_goes_on_is_queued_again(begin: Job, tmp_path: Path, code: int):
    assert begin(code, 75).wait(20) == code
    assert requeued(tmp_path)


@pytest.mark.parametrize("code", [0, 1, 130, *FINAL, *KILLED])
def test_code_of_the_chief_decides_though_the_other_has_lost_it(
    begin: Job, tmp_path: Path, code: int
):
    assert begin(code, 75).wait(20) == code
    assert not requeued(tmp_path)


@pytest.mark.parametrize("code", [1, *FINAL])
def test_fault_of_a_worker_is_not_tried_for_ever(begin: Job, tmp_path: Path, code: int):
    assert begin(75, code).wait(20) == 75
    assert not requeued(tmp_path)


@pytest.mark.parametrize("code", KILLED)
def test_killed_worker_has_the_job_queued_again(begin: Job, tmp_path: Path, code: int):
    assert begin(75, code).wait(20) == 75
    assert requeued(tmp_path)


def test_signal_ahead_of_the_time_limit_reaches_the_workers_alone(begin: Job, tmp_path: Path):
    job = begin("wait", "wait")
    files = [tmp_path / f"pid-{number}" for number in (0, 1)]
    deadline = time.monotonic() + 20
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for pid in (int(file.read_text()) for file in files):
        parent = int(Path(f"/proc/{pid}/stat").read_text().split()[3])
        os.kill(parent, signal.SIGUSR1)  # the shell of the task outlives it
        os.kill(pid, signal.SIGUSR1)
    assert job.wait(20) == 138
    assert requeued(tmp_path)
