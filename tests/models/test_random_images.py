"""Augmentation inside a network is that of Keras, but for the source of its draws."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainer import random_numbers
from trainer.models.keyed_layer import KeyedLayer, drawing_from
from trainer.models.replacements import replacement
from trainer.models.replicable import replicable
from trainer.system.errors import UsageError

IMAGES = np.random.default_rng(0).random((8, 12, 16, 2), np.float32)
RANGE = {"value_range": (0, 1)}
CERTAIN = [  # whose bounds are one number, so that Keras draws what ours do
    layers.RandomContrast((-0.3, 0.3), **RANGE),
    layers.RandomBrightness((0.3, 0.3), **RANGE),
    *(
        kind(*factors, fill_mode=fill_mode, fill_value=0.5)
        for fill_mode in ("nearest", "reflect", "constant")
        for kind, *factors in (
            (layers.RandomRotation, (0.03, 0.03)),
            (layers.RandomZoom, (0.2, 0.2), (-0.1, -0.1)),
            (layers.RandomZoom, (0.2, 0.2)),
            (layers.RandomTranslation, (0.2, 0.2), (-0.1, -0.1)),
        )
    ),
]
DRAWN = [
    layers.RandomContrast(0.3, **RANGE),
    layers.RandomBrightness(0.3, **RANGE),
    layers.RandomFlip(),
    layers.RandomRotation(0.1),
    layers.RandomZoom(0.3),
    layers.RandomTranslation(0.2, 0.3),
]


def ours(layer: keras.Layer) -> KeyedLayer:
    layer(keras.Input(IMAGES.shape[1:]))
    made = replacement(layer)
    assert isinstance(made, KeyedLayer)
    return made


def trained(layer: KeyedLayer, rows: range = range(8), step: int = 0) -> np.ndarray:
    with drawing_from(random_numbers.key(0, tf.constant(step)), tf.constant([*rows]), 8):
        return layer(IMAGES[rows.start : rows.stop], training=True).numpy()


def kind_of(layer: keras.Layer) -> str:
    return type(layer).__name__


@pytest.mark.parametrize("layer", CERTAIN, ids=kind_of)
def test_an_image_is_changed_as_by_keras(layer: keras.Layer):
    expected = layer(IMAGES, training=True).numpy()
    assert np.abs(expected - IMAGES).max() > 0.05
    np.testing.assert_allclose(trained(ours(layer)), expected, atol=1e-5)


@pytest.mark.parametrize("layer", DRAWN, ids=kind_of)
def test_an_image_is_changed_by_its_step_and_row_alone(layer: keras.Layer):
    layer = ours(layer)
    whole = trained(layer)
    np.testing.assert_allclose(trained(layer, range(4, 8)), whole[4:], atol=1e-6)
    assert not np.allclose(trained(layer, step=1), whole, atol=1e-3)
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)


@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", [2]), ("vertical", [1]), ("horizontal_and_vertical", [1, 2])]
)
def test_some_images_are_flipped_and_the_others_left(mode: str, axes: list[int]):
    whole = trained(ours(layers.RandomFlip(mode)))
    flipped = np.flip(IMAGES, axes)
    each = [
        (np.array_equal(x, f), np.array_equal(x, i))
        for x, f, i in zip(whole, flipped, IMAGES, strict=True)
    ]
    assert {*each} == {(True, False), (False, True)}


@pytest.mark.parametrize("layer", [*CERTAIN, *DRAWN], ids=kind_of)
def test_an_export_has_the_layer_of_keras(layer: keras.Layer):
    plain = ours(layer).plain()
    assert type(plain) is type(layer) and plain.name == layer.name
    assert {**plain.get_config(), "seed": 0} == {**layer.get_config(), "seed": 0}


RANDOM = {
    name: kind
    for name, kind in inspect.getmembers(layers, inspect.isclass)
    if name.startswith(("Random", "Mix", "CutMix", "AugMix", "RandAugment"))
}


def some(kind: type) -> keras.Layer:
    needed = {
        name: 8 if name in ("height", "width") else 1
        for name, given in inspect.signature(kind).parameters.items()
        if given.default is given.empty and given.kind is given.POSITIONAL_OR_KEYWORD
    }
    return kind(**needed)


@pytest.mark.parametrize("name", RANDOM)
def test_every_augmentation_of_keras_is_replaced_or_refused_with_a_field_in_its_place(name: str):
    image = keras.Input((16, 16, 3))
    model = keras.Model(image, some(RANDOM[name])(image))
    if name in {kind_of(layer) for layer in DRAWN}:
        assert isinstance(replicable(model).layers[1], KeyedLayer)
    else:
        with pytest.raises(UsageError, match=rf"\({name}\) draws .* give --config.augment\.\w+ in"):
            replicable(model)


@pytest.mark.parametrize(
    "layer",
    [
        layers.RandomRotation(0.1, fill_mode="wrap"),
        layers.RandomZoom(0.1, interpolation="nearest"),
        layers.RandomFlip(data_format="channels_first"),
        layers.GaussianDropout(1.0),
    ],
    ids=kind_of,
)
def test_what_is_not_known_of_a_layer_is_not_guessed(layer: keras.Layer):
    layer(keras.Input(IMAGES.shape[1:]))
    assert replacement(layer) is None
