"""Any network keeps the two promises: the same on two replicas, and after a resume."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.convnext import ConvNeXt
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet_v2 import EfficientNetV2
from ml_collections import ConfigDict

from trainer import models
from trainer.models import applications
from trainer.models.dropout import Dropout
from trainer.models.keyed_layer import KeyedLayer
from trainer.training.state import State, create_state

BLOCK = {
    "kernel_size": 3,
    "num_repeat": 2,
    "input_filters": 8,
    "output_filters": 8,
    "expand_ratio": 2,
    "se_ratio": 0.25,
    "strides": 1,
    "conv_type": 0,
}
DRAWING = """
from keras import Input, Sequential, layers

def network(shape, labels, model):
    return Sequential([
        Input(shape),
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.05),
        layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomContrast(0.2, value_range=(0, 1)),
        layers.RandomBrightness(0.2, value_range=(0, 1)),
        layers.GaussianNoise(0.1),
        layers.Conv2D(4, 3, strides=2),
        layers.GaussianDropout(0.2),
        layers.AlphaDropout(0.2),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.2),
        layers.Dense(labels),
    ])
"""


def densenet121(**given) -> keras.Model:
    return DenseNet([1, 0, 0, 1], **given)


def efficientnetv2b0(**given) -> keras.Model:
    return EfficientNetV2(
        *(0.25, 1.0, 32), drop_connect_rate=0.5, blocks_args=[BLOCK], min_depth=4, **given
    )


def convnexttiny(**given) -> keras.Model:
    return ConvNeXt([1, 0, 0, 1], [4, 8, 8, 8], drop_path_rate=0.5, **given)


@pytest.mark.slow
@pytest.mark.parametrize("constructor", [densenet121, efficientnetv2b0, convnexttiny])
def test_a_network_of_keras_is_alike_on_two_replicas_and_after_a_resume(
    constructor: Callable[..., keras.Model],
    tiny: ConfigDict,
    alike: Callable[[], State],
    monkeypatch: pytest.MonkeyPatch,
):
    name = constructor.__name__
    module = applications.CONSTRUCTORS[name].__module__
    monkeypatch.setattr(constructor, "__module__", module)  # where its input range is
    monkeypatch.setitem(applications.CONSTRUCTORS, name, constructor)
    tiny.model.name, tiny.model.dropout = name, 0.2
    assert any(isinstance(layer, Dropout) for layer in alike().model.layers)


def test_ones_own_network_is_alike_whatever_it_draws(
    tiny: ConfigDict, alike: Callable[[], State], tmp_path: Path
):
    (tmp_path / "net.py").write_text(DRAWING)
    tiny.model.name = f"{tmp_path / 'net.py'}:network"
    drawing = [layer for layer in alike().model.layers if isinstance(layer, KeyedLayer)]
    assert len(drawing) == 10


@pytest.fixture
def alike(
    tiny: ConfigDict,
    steps_of: Callable[..., list[dict[str, np.ndarray]]],
    one_device: tf.distribute.Strategy,
    two_replicas: tf.distribute.Strategy,
) -> Callable[[], State]:
    """Returns what trains the network on one and two replicas and resumes, and gives its state."""

    def alike() -> State:
        tiny.optimizer.name, tiny.optimizer.learning_rate = "sgd", 0.01
        tiny.schedule.warmup_epochs = 0
        seen = []
        for strategy in (one_device, two_replicas):
            with strategy.scope():
                state = create_state(tiny, 10, 10)
            seen.append(steps_of(strategy, state, range(2)))
        (_, one), (after_one, two) = seen
        for path, value in one.items():
            np.testing.assert_allclose(value, two[path], atol=1e-5, err_msg=path)
        keras.utils.set_random_seed(1)  # as a new process draws other numbers
        for path, variable in state.variables().items():
            variable.assign(after_one[path])
        (resumed,) = steps_of(two_replicas, state, range(1, 2))
        for path, value in resumed.items():
            np.testing.assert_array_equal(value, two[path], err_msg=path)
        again = models.build(tiny.model, tiny.data.image_size)
        assert [v.path for v in again.variables] == [v.path for v in state.model.variables]
        return state

    return alike
