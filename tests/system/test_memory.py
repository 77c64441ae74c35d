"""The peak memory of a process is its own."""

import subprocess
import sys

import numpy as np

from trainer.system.memory import GIB, peak_gib

CHILD = """
from trainer.system.memory import peak_bytes
before = peak_bytes()
more = b"x" * 2**27
print(before, peak_bytes() - before)
"""


def test_peak_grows_with_what_a_process_holds_and_not_with_its_parent():
    parent = np.ones(2**26)  # 512 MiB
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    before, growth = map(int, done.stdout.split())
    assert before < 100 * 2**20 < growth
    peaks = peak_gib(["/job:localhost/replica:0/task:0/device:CPU:0"])
    assert list(peaks) == ["host"] and peaks["host"] > parent.nbytes / GIB
