"""A recipe's step compiles with the TPU compiler; where that is installed, and no TPU needed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = """
from ml_collections import ConfigDict

from trainer.config.schema import default


def get_config() -> ConfigDict:
    config = default()
    config.data.image_size = 64
    config.augment.rotation_range = 10.0
    config.model.name = "article"
    config.train.batch_size = 8
    return config
"""


def check(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts/tpu_check.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=ROOT)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not (ROOT / ".venv-tpu-check/stamp").exists(), reason="scripts/tpu_check.py was never run"
)
def test_a_recipe_compiles_and_its_figures_are_in_the_table(tmp_path: Path):
    recipe, out = tmp_path / "tiny.py", tmp_path / "table.md"
    recipe.write_text(RECIPE)
    done = check(f"--configs={recipe}", "--topologies=v5e:2x2", "--nolargest_batch", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert out.read_text() == done.stdout
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines()]
    cells = dict(zip(lines[0], lines[2], strict=True))
    assert (cells["recipe"], cells["TPU"], cells["batch"]) == ("tiny", "v5e", "8")
    # The product alone: 2 per factor of 3 * 64 rows and 64 columns, for every pixel of 8 images.
    assert float(cells["GFLOP"]) > 2 * 8 * 64**2 * (3 * 64) * 64 / 1e9
    assert 0 < int(cells["augmentation"].rstrip("%")) < 100
    assert re.fullmatch(r"1 \(64\)", cells["gathers (largest)"])  # of draws: 8 for each image


def test_what_is_not_there_is_named_in_one_sentence():
    done = check("--topologies=v99:2x2")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--topologies=v99:2x2 is unknown: name one of v4, v5e, v6e" in done.stderr
