"""The benchmark runs both sides and prints their ratio; its figures are not judged here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "scripts" / "benchmark.py"


def benchmark(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BENCHMARK), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_every_pair_is_printed_with_its_ratio():
    done = benchmark("--source=phantom:60", "--epochs=2")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^(.+?) +([\d,]+) +([\d,]+) +([\d.]+)$", done.stdout, re.M)
    assert len(rows) == 6
    for _, ours, theirs, ratio in rows:
        ours, theirs = (int(figure.replace(",", "")) for figure in (ours, theirs))
        assert float(ratio) == pytest.approx(ours / theirs, rel=0.1)
    assert re.search(r"waited for input [\d.]+% of its last epoch", done.stdout)


def test_a_source_that_is_not_there_is_named_in_one_sentence():
    done = benchmark("--source=nowhere.zip")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: --source=nowhere.zip does not exist" in done.stderr
