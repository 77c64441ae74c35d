"""The benchmark runs both sides and prints their ratio; its figures are not judged here."""

import os
import re
import runpy
import signal
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.forks import Forks

BENCHMARK = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_pair_is_printed_with_its_ratio(forks: Forks):
    small = ("--source=phantom:60", "--rounds=2", "--seconds=0.1", "--lead=0")
    done = forks.run(BENCHMARK, *small, timeout=580)
    assert done.returncode == 0, done.stderr
    row = r"^\| (.+ : .+) \| ([\d,]+) \| ([\d,]+) (?:\| [\d.]+ ){3}\|$"
    rows = re.findall(row, done.stdout, re.M)
    assert len(rows) == (11 if find_spec("torch") else 9)
    for _, ours, theirs in rows:
        assert int(ours.replace(",", "")) > 0 and int(theirs.replace(",", "")) > 0
    shares = re.search(r"^Of the whole epochs (.+)\.$", done.stdout, re.M)
    assert shares and "training took" in shares[1] and "waiting" not in shares[1]
    assert sum(map(float, re.findall(r"([\d.]+)%", shares[1]))) == pytest.approx(100, abs=0.5)
    assert ("--peers installs it" in done.stdout) == (find_spec("torch") is None)


def test_the_ratio_is_that_of_the_medians_between_those_of_the_rounds():
    found = {"bare_step": turns(10, 20, 30), "loop_plain": turns(5, 20, 60), "job": turns(9, 9, 18)}
    table = runpy.run_path(str(BENCHMARK.with_name("benchmark_table.py")))["table"]
    assert table(found)[2:] == [
        "| whole epochs : bare step of Keras, compiled | 12 | 20 | 0.60 | 0.45 | 0.90 |",
        "| training loop, no augmentation : bare step | 20 | 20 | 1.00 | 0.50 | 2.00 |",
    ]


def turns(*rates: float) -> list[dict]:
    """Returns the answers of a measure in turns of 2 s at these images/s."""
    return [{"images": 2 * rate, "seconds": 2} for rate in rates]


def test_a_source_that_is_not_there_is_named_in_one_sentence(forks: Forks):
    done = forks.run(BENCHMARK, "--source=nowhere.zip")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "error: --source=nowhere.zip does not exist" in done.stderr


STARTS_ANOTHER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
sys.stdin.readline()
"""


def test_a_measure_leaves_no_process_behind(tmp_path: Path):
    meter = runpy.run_path(str(BENCHMARK.with_name("benchmark_meter.py")))
    command = [sys.executable, "-c", STARTS_ANOTHER]
    with meter["Measure"]("one", command, tmp_path / "log", os.environ) as measure:
        child = measure.warm
        assert alive(child)
    deadline = time.monotonic() + 20
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_an_interrupted_warm_up_leaves_no_process_behind(tmp_path: Path):
    meter = runpy.run_path(str(BENCHMARK.with_name("benchmark_meter.py")))
    silent = [sys.executable, "-c", "import time; time.sleep(600)"]
    before = set(psutil.Process().children())
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # xdist's workers ignore it
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            meter["Measure"]("one", silent, tmp_path / "log", os.environ)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert set(psutil.Process().children()) <= before


def alive(process: int) -> bool:
    """Whether a process runs; one that only waits to be asked after does not."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
