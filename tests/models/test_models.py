"""The networks are those that they are said to be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer import models
from trainer.config.fields import FIELDS, SMALLEST_IMAGES
from trainer.config.schema import default
from trainer.models import article, resnet


def test_the_article_network_is_the_published_one():
    network = article.network((180, 180, 3))
    assert network.count_params() == 5_406_881
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    assert [(c.filters, c.kernel_size, c.padding) for c in convolutions] == [
        (filters, (3, 3), "valid") for filters in (16, 32, 64, 128)
    ]
    pools = [x.pool_size for x in network.layers if isinstance(x, keras.layers.MaxPooling2D)]
    assert pools == [(2, 2)] * 4
    assert network.get_layer("dense").units == 512 and network.get_layer("dropout").rate == 0.3


@pytest.mark.parametrize("name", ["article", "resnet"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_returns_a_float32_logit_an_image(name: str, channels: int):
    config = default().model
    config.name, config.channels = name, channels
    network = models.build(config, 48)
    logits = network(np.zeros((2, 48, 48, channels), np.float32), training=False)
    assert logits.shape == (2, 1) and logits.dtype == tf.float32


@pytest.mark.parametrize("name", ["article", "resnet"])
def test_the_smallest_image_that_the_config_allows_is_the_smallest_that_a_network_takes(name: str):
    config = default().model
    config.name, config.stages, config.width = name, FIELDS["model.stages"].high, 1
    least = max(SMALLEST_IMAGES.get(name, 0), FIELDS["data.image_size"].low)
    network = models.build(config, least)
    assert network(np.zeros((1, least, least, 1), np.float32)).shape == (1, 1)
    if name in SMALLEST_IMAGES:
        with pytest.raises(ValueError, match="zero or negative"):
            models.build(config, least - 1)


def test_logits_stay_float32_under_half_precision():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    network = resnet.network((32, 32, 1), width=4)
    assert network.get_layer("stem").compute_dtype == "bfloat16"
    assert network(np.zeros((1, 32, 32, 1), np.float32)).dtype == tf.float32


def test_more_width_and_blocks_make_a_larger_resnet():
    def size(width: int, blocks: int) -> int:
        return resnet.network((32, 32, 1), width=width, blocks=blocks).count_params()

    assert size(4, 1) < size(8, 1) < size(8, 2)


@pytest.mark.parametrize("name", ["article", "resnet"])
def test_a_batch_gives_the_same_gradient_to_the_bit_each_time(name: str):
    config = default()
    config.model.name, config.model.width = name, 4
    model = models.build(config.model, 48)
    for variable in model.trainable_variables:  # some begin at 0, and let no gradient through
        variable.assign_add(0.1 * tf.ones(variable.shape))
    images = tf.random.stateless_uniform([8, 48, 48, 1], [1, 2])

    @tf.function
    def gradient() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.nn.softplus(model(images, training=False)))
        return tape.gradient(loss, model.trainable_variables)

    first = gradient()
    for _ in range(150):
        for once, again in zip(first, gradient(), strict=True):
            np.testing.assert_array_equal(once, again)
