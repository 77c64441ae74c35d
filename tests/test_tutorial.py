"""The tutorial's cells run, one after another, as a reader's would."""

import json
from pathlib import Path

import pytest

from tests.forks import Forks

NOTEBOOK = Path(__file__).parents[1] / "docs/tutorial.ipynb"
SMALLER = {
    "phantom:600": "phantom:80",
    "image_size = 96": "image_size = 48",
    "epochs = 8": "epochs = 1\nconfig.summaries.times = 1",
    '"one_device"': '"one_device"\nconfig.augment.jit_compile = config.profile.flops = False',
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tutorials_cells_run_to_the_end(forks: Forks, tmp_path: Path):
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    script = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for value, smaller in SMALLER.items():
        assert value in script
        script = script.replace(value, smaller, 1)
    (tmp_path / "script.py").write_text(f"import os\nos.chdir({str(tmp_path)!r})\n{script}\n")
    done = forks.run(tmp_path / "script.py", timeout=280)
    assert done.returncode == 0, done.stderr
    assert "auc" in done.stdout and (tmp_path / "run/report.html").exists()
