"""A network's table has the counts computed by hand, and those of TensorFlow."""

import contextlib
import io

import keras
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from trainer.config.schema import default
from trainer.models import article, build, layer_table

PROFILER = tf.compat.v1.profiler


@pytest.fixture(scope="module")
def published() -> keras.Model:
    return article.network((180, 180, 3))


def resnet(outputs: int = 1) -> keras.Model:
    return build(default().model, 160, outputs)


def counted_by_tensorflow(model: keras.Model) -> int:
    inputs = tf.TensorSpec((1, *model.input_shape[1:]))
    concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(inputs)
    graph = convert_variables_to_constants_v2(concrete).graph
    options = PROFILER.ProfileOptionBuilder(PROFILER.ProfileOptionBuilder.float_operation())
    with contextlib.redirect_stdout(io.StringIO()):
        found = PROFILER.profile(graph, options=options.with_empty_output().build())
    return found.total_float_ops


def test_the_article_networks_layers_have_the_counts_computed_by_hand(published: keras.Model):
    found = {row.layer: row for row in layer_table.rows(published)}
    conv1 = 2 * (3 * 3 * 3) * 178 * 178 * 16 + 2 * 178 * 178 * 16  # bias and relu
    assert found["conv1"] == ("conv1", "Conv2D", (178, 178, 16), 3 * 3 * 3 * 16 + 16, conv1)
    assert found["pool1"] == ("pool1", "MaxPooling2D", (89, 89, 16), 0, 4 * 89 * 89 * 16)
    conv4 = 2 * (3 * 3 * 64) * 18 * 18 * 128 + 2 * 18 * 18 * 128
    assert found["conv4"].flops == conv4 and found["conv4"].output == (18, 18, 128)
    assert found["flatten"] == ("flatten", "Flatten", (10368,), 0, 0)
    assert found["dense"].parameters == 10368 * 512 + 512
    assert found["dense"].flops == 2 * 10368 * 512 + 2 * 512
    assert found["dropout"].flops == 0 and found["logits"].flops == 2 * 512 + 1
    assert sum(row.parameters for row in found.values()) == 5_406_881
    assert list(found)[:3] == ["conv1", "pool1", "conv2"] and list(found)[-1] == "logits"
    assert "image" not in [row.layer for row in layer_table.rows(resnet())]


@pytest.mark.parametrize(
    ("layer", "flops"),
    [
        (layers.Conv2D(4, 3, 2, padding="same", use_bias=False), 2 * 9 * 6 * 4 * 16),
        (layers.Conv2D(4, 3, padding="same", groups=2), (2 * 9 * 3 + 1) * 4 * 64),
        (layers.DepthwiseConv2D(3, padding="same", use_bias=False), 2 * 9 * 6 * 64),
        (layers.SeparableConv2D(4, 3, padding="same"), (2 * 9 * 6 + 2 * 6 * 4 + 4) * 64),
        (layers.Dense(5), (2 * 6 + 1) * 5 * 64),
        (layers.BatchNormalization(), 2 * 6 * 64),
        (layers.AveragePooling2D(2), 6 * 64),
        (layers.GlobalAveragePooling2D(), 6 * 64),
        (layers.ReLU(), 6 * 64),
        (layers.Reshape((64, 6)), 0),
    ],
)
def test_every_kind_of_layer_has_its_count(layer: keras.Layer, flops: int):
    keras.Sequential([keras.Input((8, 8, 6)), layer])
    assert layer_table.flops(layer) == flops


def test_a_sum_of_layers_adds_all_but_the_first():
    images = [keras.Input((8, 8, 6)) for _ in range(3)]
    layer = layers.Add()
    layer(images)
    assert layer_table.flops(layer) == 2 * 6 * 64


@pytest.mark.parametrize("network", ["article", "resnet"])
def test_tensorflow_counts_as_many(network: str, published: keras.Model):
    model = published if network == "article" else resnet()
    ours = sum(row.flops for row in layer_table.rows(model))
    # It leaves out activations, and what the network does with normalisation.
    assert ours == pytest.approx(counted_by_tensorflow(model), rel=0.03)


def test_the_text_is_a_markdown_table_with_the_totals(published: keras.Model):
    text = layer_table.markdown(published)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + len(layer_table.rows(published)) + 1
    assert "| conv1 | Conv2D | 178 × 178 × 16 | 448 | 28.389 |" in lines
    assert "| flatten | Flatten | 10,368 |  |  |" in lines
    assert lines[-1].startswith("| **total** | | | 5,406,881 | ")
    assert "5,406,881 of the parameters are trained" in text
    trained = sum(weight.shape.num_elements() for weight in resnet().trainable_variables)
    assert trained < resnet().count_params()
    assert f"{trained:,} of the parameters are trained" in layer_table.markdown(resnet())
