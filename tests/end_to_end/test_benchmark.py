"""The benchmark runs both sides and prints their ratio; its figures are not judged here."""

import re
from pathlib import Path

import pytest

from tests.forks import Forks

BENCHMARK = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_pair_is_printed_with_its_ratio(forks: Forks):
    done = forks.run(BENCHMARK, "--source=phantom:60", "--epochs=2", timeout=280)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(.+?) +([\d,]+) +([\d,]+) +([\d.]+)$", done.stdout, re.M)
    assert len(rows) == 6
    for _, ours, theirs, ratio in rows:
        ours, theirs = (int(figure.replace(",", "")) for figure in (ours, theirs))
        assert float(ratio) == pytest.approx(ours / theirs, rel=0.1)
    assert re.search(r"waited for input [\d.]+% of its last epoch", done.stdout)


def test_a_source_that_is_not_there_is_named_in_one_sentence(forks: Forks):
    done = forks.run(BENCHMARK, "--source=nowhere.zip")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: --source=nowhere.zip does not exist" in done.stderr
