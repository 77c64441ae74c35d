"""Grad-CAM and integrated gradients: what they sum to, and where they point."""

import keras
import numpy as np
import pytest

from trainer.models import attribution, layer_outputs, resnet

SIDE = 16


@pytest.fixture
def images():
    return np.random.default_rng(0).random((3, SIDE, SIDE, 1), dtype=np.float32)


def smooth_model(outputs=2, seed=0, **options):
    """Smooth, so that the sum of integrated gradients is nearly the integral."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(4, 3, activation="softplus", name="first", **options)(inputs)
    x = keras.layers.MaxPooling2D(name="pool", **options)(x)
    x = keras.layers.Conv2D(6, 3, activation="softplus", name="last", **options)(x)
    x = keras.layers.Flatten(**options)(x)
    model = keras.Model(inputs, keras.layers.Dense(outputs, dtype="float32")(x))
    model.set_weights([weight + 0.03 for weight in model.get_weights()])  # most speak for it
    return model


def quadrants_model():
    """Logit k is the brightness of quadrant k, from the upper left along the rows."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(2, 1, use_bias=False, name="last")(inputs)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(4, use_bias=False)(x))
    rows, columns = np.indices((SIDE, SIDE)) // (SIDE // 2)
    of_quadrant = np.eye(4)[(2 * rows + columns).ravel()]
    model.set_weights([np.ones((1, 1, 1, 2)), np.repeat(of_quadrant, 2, axis=0)])
    return model


def quadrant_of(values, number):
    """The share of what a map [h, w] holds that lies in one quadrant."""
    half = SIDE // 2
    row, column = divmod(number, 2)
    part = values[row * half : (row + 1) * half, column * half : (column + 1) * half]
    return np.abs(part).sum() / np.abs(values).sum()


def test_integrated_gradients_add_up_to_the_logit_over_a_black_image(images):
    model = smooth_model()

    found = attribution.integrated_gradients(model, images, [0, 1, 1], steps=32)

    difference = (model(images) - model(np.zeros_like(images))).numpy()
    assert found.shape == (3, SIDE, SIDE) and found.dtype == np.float32
    np.testing.assert_allclose(found.sum((1, 2)), difference[range(3), [0, 1, 1]], atol=2e-3)
    assert np.abs(difference).min() > 0.02


def test_integrated_gradients_of_a_residual_network_add_up_too():
    model = resnet.network((32, 32, 1), outputs=1, width=4)
    keras.utils.set_random_seed(1)
    model.set_weights([w + 0.5 * np.random.random(w.shape) for w in model.get_weights()])
    images = np.random.default_rng(0).random((2, 32, 32, 1), dtype=np.float32)

    found = attribution.integrated_gradients(model, images, [0, 0], steps=64)

    difference = (model(images) - model(np.zeros_like(images))).numpy()[:, 0]
    np.testing.assert_allclose(found.sum((1, 2)), difference, rtol=0.02)


def test_what_speaks_against_a_label_is_negative(images):
    model = quadrants_model()
    kernel, dense = model.get_weights()
    model.set_weights([kernel, -dense])

    found = attribution.integrated_gradients(model, images, [0, 0, 0])

    assert found.max() <= 0 and found.min() < 0


@pytest.mark.parametrize("at_once", [1, 5, 1000])
def test_integrated_gradients_are_alike_however_many_go_at_once(images, monkeypatch, at_once):
    model = smooth_model()
    expected = attribution.integrated_gradients(model, images, [0, 1, 0])
    monkeypatch.setattr(attribution, "AT_ONCE", at_once)

    found = attribution.integrated_gradients(model, images, [0, 1, 0])

    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_evidence_lies_in_the_quadrant_that_the_logit_reads():
    model, images = quadrants_model(), np.ones((4, SIDE, SIDE, 1), np.float32)

    pixels = attribution.integrated_gradients(model, images, range(4))

    for number in range(4):
        assert quadrant_of(pixels[number], number) == pytest.approx(1, abs=1e-6)


def test_grad_cam_points_at_the_place_that_a_channel_finds():
    """A network that sums the brightness over the image: the heat is where the brightness is."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(1, 1, use_bias=False, activation="relu", name="last")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    model.set_weights([np.ones((1, 1, 1, 1)), np.array([[1.0, -1.0]])])
    images = np.zeros((2, SIDE, SIDE, 1), np.float32)
    images[:, SIDE // 2 :, : SIDE // 2] = 1

    for_it, against_it = attribution.grad_cam(model, images, [0, 1]).evidence["last"]

    assert quadrant_of(for_it, 2) == 1
    assert not against_it.any()


def test_grad_cam_is_what_finite_differences_give(images):
    """The mean gradient of a channel, by adding a little to the whole channel."""
    model = smooth_model()
    step = 1e-2
    last = model.get_layer("last")
    features = layer_outputs.activation_maps(model, images)["last"]
    places = features.shape[1] * features.shape[2]
    dense = model.layers[-1].get_weights()[0]

    found = attribution.grad_cam(model, images, [1, 0, 1]).evidence["last"]

    for image, output in enumerate([1, 0, 1]):
        weights = []
        for channel in range(last.filters):
            more = features[image].copy()
            more[..., channel] += step
            change = (more - features[image]).reshape(-1) @ dense[:, output]
            weights.append(change / step / places)
        expected = np.maximum((features[image] * weights).sum(-1), 0)
        np.testing.assert_allclose(found[image], expected, atol=1e-5)
        assert expected.max() > 1e-3


def test_several_layers_from_one_pass_are_as_each_alone(images):
    model = smooth_model()

    together = attribution.grad_cam(
        model, images, [0, 0, 1], layers=["last", "first", "pool"]
    ).evidence

    assert list(together) == ["last", "first", "pool"]
    assert (
        list(attribution.grad_cam(model, images, [0, 0, 0]).evidence)
        == layer_outputs.stages(model)[-1:]
    )
    for name, values in together.items():
        alone = attribution.grad_cam(model, images, [0, 0, 1], layers=[name]).evidence[name]
        np.testing.assert_allclose(values, alone, atol=1e-6)
        assert values.shape == (3, *model.get_layer(name).output.shape[1:3])
        assert values.min() >= 0 and values.max() > 0


def test_each_image_is_explained_by_its_own_output(images):
    model = smooth_model(outputs=3)
    same = np.repeat(images[:1], 3, axis=0)

    maps = attribution.grad_cam(model, same, [0, 1, 2]).evidence["last"]
    pixels = attribution.integrated_gradients(model, same, [0, 1, 2])

    for output in range(3):
        alone = attribution.grad_cam(model, same[:1], [output]).evidence["last"]
        np.testing.assert_allclose(maps[output], alone[0], atol=1e-6)
        alone = attribution.integrated_gradients(model, same[:1], [output])
        np.testing.assert_allclose(pixels[output], alone[0], atol=1e-6)
    assert not np.allclose(pixels[0], pixels[1]) and not np.allclose(pixels[1], pixels[2])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_finds_the_same_evidence(images, policy):
    full, half = smooth_model(), smooth_model(dtype=policy)
    half.set_weights(full.get_weights())

    for explained in (
        lambda model: attribution.integrated_gradients(model, images, [0, 1, 0]),
        lambda model: attribution.grad_cam(model, images, [0, 1, 0]).evidence["last"],
    ):
        expected, found = explained(full), explained(half)
        assert found.dtype == np.float32
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_mirrored_variables_find_the_same_evidence(images, two_replicas):
    alone = smooth_model()
    with two_replicas.scope():
        mirrored = smooth_model()
    mirrored.set_weights(alone.get_weights())

    np.testing.assert_allclose(
        attribution.integrated_gradients(mirrored, images, [0, 1, 0]),
        attribution.integrated_gradients(alone, images, [0, 1, 0]),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        attribution.grad_cam(mirrored, images, [0, 1, 0]).evidence["last"],
        attribution.grad_cam(alone, images, [0, 1, 0]).evidence["last"],
        atol=1e-6,
    )


def test_looking_does_not_change_the_model():
    model = resnet.network((32, 32, 1), width=4)
    before = [np.array(weight) for weight in model.get_weights()]
    images = np.random.default_rng(0).random((2, 32, 32, 1), dtype=np.float32)

    attribution.grad_cam(model, images, [0, 0], layers=layer_outputs.stages(model))
    attribution.integrated_gradients(model, images, [0, 0], steps=2)

    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_connection_around_the_layer_changes_nothing_of_its_evidence(images):
    inputs = keras.Input((SIDE, SIDE, 1))
    last = keras.layers.Conv2D(3, 3, activation="softplus", name="last")(inputs)
    plain = keras.layers.GlobalAveragePooling2D()(last)
    around = keras.layers.Concatenate()([plain, keras.layers.GlobalMaxPooling2D()(inputs)])
    short = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(plain))
    long = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(around))
    long.layers[-1].set_weights([np.append(*short.layers[-1].get_weights(), [[5, -5]], axis=0)])

    found = [
        attribution.grad_cam(model, images, [0, 1, 0]).evidence["last"] for model in (short, long)
    ]

    np.testing.assert_allclose(*found, atol=1e-6)
    assert found[0].max() > 0
