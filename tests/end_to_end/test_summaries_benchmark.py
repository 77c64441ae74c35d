"""The cost of the summaries is measured in pairs of runs; its figures are not judged here."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = """
from trainer.config.schema import default

def get_config():
    config = default()
    config.data.image_size, config.model.width, config.model.stages = 32, 4, 1
    config.augment.jit_compile = config.profile.flops = False
    return config
"""


def benchmark(*flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts/summaries_benchmark.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_recipe_is_timed_with_and_without(tmp_path: Path):
    (tmp_path / "tiny.py").write_text(RECIPE)
    recipe = f"--recipes={tmp_path}/tiny"
    done = benchmark("--source=phantom:60", recipe, "--epochs=1", "--pairs=1")
    assert done.returncode == 0, done.stderr
    (figures, processor) = re.findall(
        r"tiny +([\d.]+) +([\d.]+) +([\d.]+) +(-?[\d.]+)%$", done.stdout, re.M
    )
    for row in (figures, processor):
        with_, without, ratio, overhead = map(float, row)
        assert with_ > 0 and without > 0
        assert ratio == pytest.approx(with_ / without, rel=0.1)
        assert overhead == pytest.approx(100 * (ratio - 1), abs=0.1)
