"""Every topology sees the same batches and arrives at the same weights, as real processes."""

from pathlib import Path

import pytest
from etils import epath

from tests.forks import Forks

SCRIPT = Path(__file__).parents[2] / "scripts" / "topologies.py"
TOPOLOGIES = [
    "one_device, 1",
    "mirrored, 1",
    "mirrored, 2",
    "mirrored, 4",
    "multi_worker, 1 x 2",
    "multi_worker, 2 x 1",
    "multi_worker, 2 x 2",
]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_all_topologies_train_alike(forks: Forks, phantoms: epath.Path):
    small = ("--small", "--image_size=32", "--steps=10", "--timed_steps=1")
    done = forks.run(SCRIPT, f"--data={phantoms}", *small, timeout=840)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == TOPOLOGIES
    for topology, batches, weight, variable, score, *_ in rows:
        assert batches == "equal", topology
        assert float(weight) < 1e-5 and float(variable) < 1e-5, topology
        assert float(score) < 1e-4, topology
