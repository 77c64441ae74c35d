"""Borders of every second side are covered by one grey, black in half of the images."""

import numpy as np

from trainer import random_numbers
from trainer.augment.collimation import RandomCollimation

BATCH, SIDE = 256, 40
KEY, ROWS = random_numbers.key(seed=3, step=7), np.arange(BATCH, dtype=np.int32)
IMAGES = np.full((BATCH, SIDE, SIDE, 1), 2.0, np.float32)  # a grey that cannot be drawn


def collimated(collimate: float, rows: np.ndarray = ROWS) -> np.ndarray:
    layer = RandomCollimation(collimate=collimate)
    return layer(IMAGES[rows], KEY, rows, global_batch=BATCH).numpy()[..., 0]


def test_borders_are_as_deep_and_as_frequent_as_was_asked_for():
    images = collimated(0.25)
    middle = images[:, SIDE // 2, :] != 2.0, images[:, :, SIDE // 2] != 2.0
    for half in (slice(None, SIDE // 2), slice(SIDE // 2, None)):
        for line in middle:
            depth = line[:, half].sum(1)
            assert 0.35 < (depth > 0).mean() < 0.6 and depth.max() == SIDE // 4
    shown = images == 2.0
    rectangle = shown.any(2).sum(1) * shown.any(1).sum(1)
    np.testing.assert_array_equal(rectangle, shown.sum(axis=(1, 2)))


def test_an_image_has_one_grey_and_every_second_one_is_black():
    levels = [np.unique(image[image != 2.0]) for image in collimated(0.25)]
    assert max(len(level) for level in levels) == 1
    drawn = np.concatenate(levels)
    assert 0.4 < (drawn == 0).mean() < 0.6 and 0.9 < drawn.max() < 1


def test_rows_are_covered_alike_whatever_lies_beside_them():
    np.testing.assert_array_equal(collimated(0.25, ROWS[64:96]), collimated(0.25)[64:96])
