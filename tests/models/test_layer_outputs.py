"""Outputs of inner layers, stages and first filters."""

import keras
import numpy as np
import pytest

from trainer.models import article, layer_outputs, resnet


@pytest.fixture
def images():
    return np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)


def branched_model(**options):
    """Names that do not sort in order of data flow, and two branches that meet."""
    inputs = keras.Input((16, 16, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem", **options)(inputs)
    x = keras.layers.BatchNormalization(**options)(x)
    x = keras.layers.MaxPooling2D(name="pool", **options)(x)
    shortcut = x
    x = keras.layers.SeparableConv2D(4, 3, padding="same", name="a_separable", **options)(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise", **options)(x)
    x = keras.layers.Add(**options)([x, shortcut])
    x = keras.layers.AveragePooling2D(2, name="average", **options)(x)
    x = keras.layers.GlobalAveragePooling2D(**options)(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32")(x))


def test_maps_are_named_after_the_layers_in_order_of_data_flow(images):
    model = branched_model()

    maps = layer_outputs.activation_maps(model, images)

    assert {name: values.shape for name, values in maps.items()} == {
        "stem": (2, 16, 16, 4),
        "pool": (2, 8, 8, 4),
        "a_separable": (2, 8, 8, 4),
        "depthwise": (2, 8, 8, 4),
        "average": (2, 4, 4, 4),
    }
    assert list(maps) == ["stem", "pool", "a_separable", "depthwise", "average"]
    stem = np.asarray(model.get_layer("stem")(images))
    np.testing.assert_allclose(maps["stem"], stem, rtol=1e-5, atol=1e-6)
    normalised = model.layers[2](stem, training=False)
    pooled = np.asarray(model.get_layer("pool")(normalised))
    np.testing.assert_allclose(maps["pool"], pooled, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_maps_are_float32_under_any_precision(images, policy):
    maps = layer_outputs.activation_maps(branched_model(dtype=policy), images)

    assert all(values.dtype == np.float32 for values in maps.values())
    assert all(values.std() > 0 for values in maps.values())


def test_of_many_layers_some_are_shown_and_padding_ends_no_stage():
    x = inputs = keras.Input((16, 16, 1))
    for number in range(50):
        x = keras.layers.Conv2D(1, 3, padding="same", name=f"conv{number}")(x)
    x = keras.layers.MaxPooling2D(name="pool")(keras.layers.ZeroPadding2D()(x))
    model = keras.Model(inputs, x)
    shown = layer_outputs.inner_layers(model)
    assert len(shown) == layer_outputs.MOST_LAYERS
    assert (shown[0], shown[-1]) == ("conv0", "pool")
    assert layer_outputs.stages(model) == ["conv49", "pool"]


def test_a_single_layer_is_enough(images):
    inputs = keras.Input((16, 16, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="only")(inputs))

    maps = layer_outputs.activation_maps(model, images)

    assert maps["only"].shape == (2, 14, 14, 2)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_first_filters_are_those_of_the_first_convolution(policy):
    model = branched_model(dtype=policy)
    kernel = np.random.default_rng(1).random((3, 3, 1, 4), dtype=np.float32)
    model.get_layer("stem").set_weights([kernel, np.zeros(4)])

    name, filters = layer_outputs.first_filters(model)

    assert (name, filters.shape, filters.dtype) == ("stem", (4, 3, 3, 1), np.float32)
    np.testing.assert_array_equal(filters[2, 0, 1], kernel[0, 1, :, 2])


def test_stages_end_with_the_last_layer_of_each_size():
    model = branched_model()
    article_layers = [f"{kind}{number}" for number in (1, 2, 3, 4) for kind in ("conv", "pool")]

    ends = ["BatchNormalization", "Add", "AveragePooling2D"]
    assert [type(model.get_layer(name)).__name__ for name in layer_outputs.stages(model)] == ends
    assert layer_outputs.stages(resnet.network((96, 96, 1))) == [
        "stem_relu",
        *(f"stage{number}_block1_out" for number in (1, 2, 3, 4)),
    ]
    assert layer_outputs.stages(article.network((180, 180, 3))) == article_layers
    # The last stage has a single position.
    assert layer_outputs.stages(resnet.network((32, 32, 1)))[-1] == "stage3_block1_out"


def test_filters_are_read_from_mirrored_variables(two_replicas):
    with two_replicas.scope():
        model = branched_model()

    name, filters = layer_outputs.first_filters(model)

    kernel = model.get_layer(name).get_weights()[0]
    np.testing.assert_array_equal(filters[3, ..., 0], kernel[..., 3].squeeze())


def test_a_model_without_the_layers_is_refused():
    inputs = keras.Input((16, 16, 1))
    flat = keras.Model(inputs, keras.layers.Flatten()(inputs), name="flat")

    for function, reason in (
        (layer_outputs.inner_layers, "flat has no convolution or pooling layer"),
        (layer_outputs.stages, "flat has no layer with more than one position"),
        (layer_outputs.first_filters, "flat has no convolution"),
    ):
        with pytest.raises(ValueError, match=reason):
            function(flat)
