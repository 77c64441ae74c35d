"""A job that is killed again and again arrives where an unbroken one does."""

from pathlib import Path

import pytest
from etils import epath

from tests.forks import Forks

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
    forks: Forks, phantoms: epath.Path, tmp_path: Path, workers: int, kills: int
):
    flags = {"data": phantoms, "out": tmp_path / "chaos", "workers": workers, "kills": kills}
    command = (ROOT / "scripts/chaos.py", *(f"--{k}={v}" for k, v in flags.items()))
    chaos = forks.run(*command, timeout=1200)
    assert chaos.returncode == 0, chaos.stdout + chaos.stderr
    assert chaos.stdout.count("saved: ended with") == kills
    assert f"verdict: alike after {kills} kills" in chaos.stdout
