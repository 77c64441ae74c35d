"""The draws of layers that drop or disturb features depend on seed, step and row alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import random_numbers
from trainer.models.dropout import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from trainer.models.keyed_layer import KeyedLayer, drawing_from

ONES = tf.ones((8, 200))
KINDS = (Dropout, AlphaDropout, GaussianDropout, GaussianNoise)


def dropped(layer: KeyedLayer, step: int = 0, rows: tf.Tensor | None = None) -> np.ndarray:
    rows = tf.range(8) if rows is None else rows
    with drawing_from(random_numbers.key(0, tf.constant(step)), rows, 8):
        return layer(ONES[: rows.shape[0]], training=True).numpy()


def test_a_share_is_dropped_and_the_mean_is_kept():
    values = dropped(Dropout(0.25))
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.05


def test_alpha_dropout_puts_a_share_where_keras_does():
    values, expected = dropped(AlphaDropout(0.25)), keras.layers.AlphaDropout(0.25)
    np.testing.assert_allclose(
        np.unique(values), np.unique(expected(ONES, training=True)), rtol=1e-6
    )
    assert abs((values < 0).mean() - 0.25) < 0.05


@pytest.mark.parametrize(
    ("layer", "deviation"), [(GaussianNoise(0.5), 0.5), (GaussianDropout(0.2), 0.5)]
)
def test_noise_is_normal(layer: KeyedLayer, deviation: float):
    noise = (dropped(layer).ravel() - 1) / deviation
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1
    assert abs((np.abs(noise) < 1).mean() - 0.683) < 0.05
    assert abs((np.abs(noise) > 2).mean() - 0.046) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_rows_steps_and_layers_have_draws_of_their_own(kind: type[KeyedLayer]):
    values = dropped(kind(0.5, name="one"))
    assert len({row.tobytes() for row in values}) == 8
    assert not np.array_equal(values, dropped(kind(0.5, name="one"), step=1))
    assert not np.array_equal(values, dropped(kind(0.5, name="two")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_keeps_its_draws_on_another_replica(kind: type[KeyedLayer]):
    layer = kind(0.5, name="one")
    np.testing.assert_array_equal(dropped(layer, rows=tf.range(4, 8)), dropped(layer)[4:])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_changed_in_inference(kind: type[KeyedLayer]):
    np.testing.assert_array_equal(kind(0.5)(ONES, training=False), ONES)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_has_the_layer_of_keras(kind: type[KeyedLayer]):
    plain = kind(0.25, name="one").plain()
    assert type(plain) is getattr(keras.layers, kind.__name__) and plain.name == "one"
    assert 0.25 in (getattr(plain, "rate", None), getattr(plain, "stddev", None))


def test_training_without_a_draw_is_an_error():
    with pytest.raises(RuntimeError, match="drawing_from"):
        Dropout(0.5)(ONES, training=True)
