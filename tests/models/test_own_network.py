"""One's own network trains as it is right for several replicas, or is refused in a sentence."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from ml_collections import ConfigDict

from trainer import models
from trainer.config.schema import default
from trainer.models.batch_normalization import BatchNormalization
from trainer.models.dropout import Dropout
from trainer.system.errors import UsageError

HEAD = "from keras import *\nimport keras\n\ndef network(shape, labels, model):\n"
INSIDE = """    base = Sequential([
        Input((None, None, 1)),
        layers.Conv2D(4, 3),
        layers.BatchNormalization(trainable=False),
        layers.SpatialDropout2D(0.5),
    ], name="base")
    image = Input(shape)
    x = base(image, training=False)
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x) + 1)
    return Model(image, layers.Dense(labels)(layers.Flatten()(x)))
"""


@pytest.fixture
def options() -> ConfigDict:
    return default().model


def from_file(options: ConfigDict, folder: Path, body: str) -> keras.Model:
    (folder / "net.py").write_text(HEAD + body)
    options.name = f"{folder / 'net.py'}:network"
    return models.build(options, 16, 2)


def test_models_inside_open_and_their_layers_are_made_right(options: ConfigDict, tmp_path: Path):
    keras.utils.set_random_seed(3)
    model = from_file(options, tmp_path, INSIDE)
    kinds = [type(layer) for layer in model.layers]
    assert kinds.count(BatchNormalization) == kinds.count(Dropout) == 2
    assert [layer.trainable for layer in model.layers if isinstance(layer, BatchNormalization)] == [
        False,
        True,
    ]
    spatial = next(layer for layer in model.layers if isinstance(layer, Dropout))
    assert spatial.mask_shape == (1, 1, None)
    images = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    keras.utils.set_random_seed(3)
    written: dict = {}
    exec(HEAD + INSIDE, written)
    expected = written["network"]((16, 16, 1), 2, options)
    np.testing.assert_allclose(model(images), expected(images), atol=1e-6)


def test_logits_are_float32_under_half_precision(options: ConfigDict, tmp_path: Path):
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    model = from_file(options, tmp_path, INSIDE)
    assert model.outputs[0].dtype == "float32"
    assert model.get_layer("conv2d").compute_dtype == "bfloat16"


def test_the_names_of_variables_are_the_same_whatever_was_built_before(
    options: ConfigDict, tmp_path: Path
):
    first = from_file(options, tmp_path, INSIDE)
    layers.Conv2D(1, 1), layers.Dense(1)
    again = from_file(options, tmp_path, INSIDE)
    assert [v.path for v in first.variables] == [v.path for v in again.variables]


SHARED = """    conv, image = layers.Conv2D(1, 1), Input(shape)
    return Model(image, layers.Dense(2)(layers.Flatten()(conv(conv(image)))))
"""
DENSE = "    return Sequential([Input(shape), layers.Flatten(), {}])\n"
ALWAYS = """    image = Input(shape)
    x = {}(layers.Conv2D(1, 1)(image), training=True)
    return Model(image, layers.Dense(2)(layers.Flatten()(x)))
"""


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("    return 3\n", "returns int, not a keras.Model"),
        ("    return 1 / 0\n", "raises ZeroDivisionError: division by zero"),
        ("    return Sequential([layers.Dense(labels)])\n", "layers cannot be seen"),
        (DENSE.format("layers.Dense(3)"), r"gives \(3,\) values an image, not \(2,\)"),
        (DENSE.format("layers.Dense(2, 'sigmoid')"), "ends in an activation .dense., where logits"),
        (DENSE.format("layers.Dense(2), layers.Softmax()"), "ends in an activation .softmax."),
        (
            DENSE.replace("shape", "(8, 8, 1)", 1).format("layers.Dense(2)"),
            r"takes images of shape",
        ),
        (
            DENSE.format("layers.Dropout(0.5, noise_shape=(1, 256)), layers.Dense(2)"),
            "dropout .Dropout. draws random .* leave it out, or write it with",
        ),
        (ALWAYS.format("layers.Dropout(0.5)"), "dropout .Dropout. is called with training=True"),
        (
            ALWAYS.format("Sequential([layers.BatchNormalization()])"),
            "sequential .Sequential.* called with training=True",
        ),
        (DENSE.format("layers.Dense(2)"), "has no convolution or pooling layer"),
        (SHARED + DENSE, "conv2d .Conv2D. is called more than once"),
        (DENSE.format("layers.Lambda(abs), layers.Dense(2)"), "lambda .* cannot be seen"),
        (DENSE.format("layers.Dense(2, kernel_regularizer='l2')"), "optimizer.weight_decay"),
        (
            DENSE.format("layers.SpectralNormalization(layers.Dense(9)), layers.Dense(2)"),
            "spectral_normalization .* changes .*, which is not trained",
        ),
        (
            DENSE.format(
                "type('Mine', (layers.Layer,), {'call': call})(), layers.Dense(2)"
            ).replace("    return", "    call = lambda self, x, training=False: x\n    return"),
            "mine .Mine. does something else in training",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_right_is_refused_in_a_sentence(
    options: ConfigDict, tmp_path: Path, body: str, sentence: str
):
    with pytest.raises(UsageError, match=sentence) as refused:
        from_file(options, tmp_path, body)
    assert f"model.name={tmp_path / 'net.py'}:network" in str(refused.value)


def test_a_module_that_cannot_be_imported_is_refused(options: ConfigDict):
    options.name = "no_such_package.nets:network"
    with pytest.raises(UsageError, match="cannot be imported .ModuleNotFoundError"):
        models.build(options, 16)
