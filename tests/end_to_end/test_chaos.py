"""A job that is killed again and again arrives where an unbroken one does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from etils import epath

ROOT = Path(__file__).parents[2]
SHORT = (pytest.mark.slow, pytest.mark.timeout(300))
LONG = (pytest.mark.long, pytest.mark.timeout(1300))


@pytest.mark.parametrize(
    ("workers", "kills"),
    [
        pytest.param(1, 3, marks=SHORT),  # in its start, in a save and later
        pytest.param(2, 3, marks=LONG),
    ],
)
def test_a_killed_job_arrives_where_an_unbroken_one_does(
    phantoms: epath.Path, tmp_path: Path, workers: int, kills: int
):
    flags = {"data": phantoms, "out": tmp_path / "chaos", "workers": workers, "kills": kills}
    with subprocess.Popen(
        [sys.executable, ROOT / "scripts/chaos.py", *(f"--{k}={v}" for k, v in flags.items())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as chaos:
        try:
            output, _ = chaos.communicate(timeout=1200)
        finally:
            if chaos.poll() is None:
                os.killpg(chaos.pid, signal.SIGKILL)  # with the workers that it has forked
    assert chaos.returncode == 0, output
    assert output.count("saved: ended with") == kills
    assert f"verdict: alike after {kills} kills" in output
