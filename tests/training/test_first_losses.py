"""The first losses of every recipe are those kept in the repository.

On any x86 processor: without oneDNN, and with its instructions limited to SSE4.1, they differ by
1.4e-6 of their size. scripts/first_losses.py writes the file anew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from etils import epath

from scripts import first_losses

KEPT = json.loads((Path(__file__).parent / "first_losses.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", first_losses.recipes())
def test_losses_are_those_that_are_kept(recipe: str, phantoms: epath.Path):
    kept = np.array(KEPT[recipe])
    losses = np.array(first_losses.first_losses(recipe, str(phantoms)))
    assert len(losses) == len(kept) == first_losses.STEPS
    moved = np.abs(losses / kept - 1)
    assert moved.max() < 1e-3, (
        f"{recipe}: the loss of step {moved.argmax() + 1} moved by {moved.max():.1e} of its size"
    )
