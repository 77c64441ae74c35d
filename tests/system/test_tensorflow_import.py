"""TensorFlow is imported without its start-up lines, and with every other word of it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_IN = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\\n")
os.write(2, b"a word of its own\\n")
os.write(2, b"I0000 00:00 port.cc:153] oneDNN custom operations are on.\\n")
{end}
"""
PROGRAM = """
import logging, sys
from trainer.system import tensorflow_import
logging.getLogger().setLevel(sys.argv[1])
tensorflow_import._may_abort = lambda: False
tensorflow_import.import_quietly()
print("after it", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("level", "end", "shown"),
    [
        ("WARNING", "", ["a word of its own", "after it"]),
        ("WARNING", "raise ImportError('no CUDA')", ["a word of its own", "ImportError: no CUDA"]),
        ("INFO", "", ["WARNING:", "a word of its own", "I0000", "after it"]),
    ],
)
def test_its_own_noise_is_left_out_and_nothing_else(
    tmp_path: Path, level: str, end: str, shown: list[str]
):
    (tmp_path / "tensorflow.py").write_text(STAND_IN.format(end=end))
    path = f"{tmp_path}:{ROOT}"
    command = [sys.executable, "-c", PROGRAM, level]
    done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("Trace", "  "))]
    assert len(lines) == len(shown) and all(map(str.startswith, lines, shown)), done.stderr
