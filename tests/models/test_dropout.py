"""Dropout's masks depend on seed, step and row alone."""

import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.models.dropout import Dropout, drawing_from

ONES = tf.ones((8, 200))


def dropped(layer: Dropout, step: int = 0, rows: tf.Tensor | None = None) -> np.ndarray:
    rows = tf.range(8) if rows is None else rows
    with drawing_from(random_numbers.key(0, tf.constant(step)), rows, 8):
        return layer(ONES[: rows.shape[0]], training=True).numpy()


def test_a_share_is_dropped_and_the_mean_is_kept():
    values = dropped(Dropout(0.25))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.05


def test_rows_steps_and_layers_have_masks_of_their_own():
    values = dropped(Dropout(0.5, name="one"))
    assert len({row.tobytes() for row in values}) == 8
    assert not np.array_equal(values, dropped(Dropout(0.5, name="one"), step=1))
    assert not np.array_equal(values, dropped(Dropout(0.5, name="two")))


def test_a_row_keeps_its_mask_on_another_replica():
    layer = Dropout(0.5, name="one")
    np.testing.assert_array_equal(dropped(layer, rows=tf.range(4, 8)), dropped(layer)[4:])


def test_nothing_is_dropped_in_inference():
    np.testing.assert_array_equal(Dropout(0.5)(ONES, training=False), ONES)


def test_training_without_a_draw_is_an_error():
    with pytest.raises(RuntimeError, match="drawing_from"):
        Dropout(0.5)(ONES, training=True)
