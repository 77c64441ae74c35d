"""A job that is killed again and again arrives where an unbroken one does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 1200  # several times what it takes on two cores with nothing else to do


@pytest.mark.slow
@pytest.mark.parametrize("workers, kills", [(1, 30), (2, 10)])
def test_a_killed_job_arrives_where_an_unbroken_one_does(tmp_path: Path, workers: int, kills: int):
    command = (sys.executable, ROOT / "scripts/chaos.py", f"--out={tmp_path / 'chaos'}")
    with subprocess.Popen(
        [*command, f"--workers={workers}", f"--kills={kills}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as chaos:
        try:
            said, _ = chaos.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(chaos.pid, signal.SIGKILL)  # with the workers that it has forked
            raise
    assert chaos.returncode == 0, said
    assert said.count("saved: ended with") == kills
    assert f"verdict: alike after {kills} kills" in said
