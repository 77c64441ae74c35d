"""Every second image loses a rectangle to random grey levels, and the others nothing."""

import numpy as np

from trainer import random_numbers
from trainer.augment.erasing import SMALLEST, RandomErasing

BATCH, SIDE = 256, 40
KEY, ROWS = random_numbers.key(seed=3, step=7), np.arange(BATCH, dtype=np.int32)
IMAGES = np.full((BATCH, SIDE, SIDE, 1), 2.0, np.float32)  # a grey that cannot be drawn


def erased(erase: float, rows: np.ndarray = ROWS) -> np.ndarray:
    layer = RandomErasing(erase=erase)
    return layer(IMAGES[rows], KEY, rows, global_batch=BATCH).numpy()[..., 0]


def test_rectangles_have_the_areas_and_greys_that_were_asked_for():
    images = erased(0.4)
    gone = images != 2.0
    share = gone.mean(axis=(1, 2))
    hit = share > 0
    assert 0.4 < hit.mean() < 0.6
    assert share[hit].min() > SMALLEST / 2 and share.max() < 0.42 and share.max() > 0.3
    sides = gone.any(2).sum(1) * gone.any(1).sum(1)
    np.testing.assert_array_equal(sides, gone.sum(axis=(1, 2)))  # it is a rectangle
    grey = images[gone]
    assert 0 <= grey.min() < 0.01 and 0.99 < grey.max() < 1 and 0.49 < grey.mean() < 0.51
    assert gone.any(axis=0).mean() > 0.98  # up to the corners


def test_rows_are_erased_alike_whatever_lies_beside_them():
    np.testing.assert_array_equal(erased(0.4, ROWS[64:96]), erased(0.4)[64:96])
