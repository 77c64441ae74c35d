"""Weight decay spares biases and norms, and clipping knows the scale of the loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.training import optimizer
from trainer.training.state import create_state


@pytest.mark.parametrize("name", sorted(optimizer.KINDS))
def test_weight_decay_shrinks_kernels_alone(tiny: ConfigDict, name: str):
    tiny.optimizer.name, tiny.optimizer.weight_decay = name, 0.5
    tiny.schedule.name, tiny.schedule.warmup_epochs = "constant", 0.0
    state = create_state(tiny, 10, 10)
    variables = state.model.trainable_variables
    for variable in variables:
        variable.assign(tf.ones(variable.shape))
    state.optimizer.apply([tf.zeros(v.shape) for v in variables], variables)
    shrunk = 1 - tiny.optimizer.learning_rate * 0.5
    assert {variable.name for variable in variables} == {"kernel", "bias", "gamma", "beta"}
    for variable in variables:
        expected = shrunk if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6, err_msg=variable.path)


@pytest.mark.parametrize("scale", [1.0, 2.0**10])
def test_clipping_and_norm_are_those_of_the_loss_without_its_scale(scale: float):
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=scale)
    scaled.build([keras.Variable(np.zeros(2, "f4"))])
    gradients = [tf.constant([3.0]) * scale, tf.constant([4.0]) * scale]  # clipped together
    assert float(optimizer.global_norm(gradients, scaled)) == pytest.approx(5.0)
    for norm, expected in ((1.0, [0.6, 0.8]), (10.0, [3.0, 4.0]), (0.0, [3.0, 4.0])):
        clipped = tf.concat(optimizer.clip(gradients, norm, scaled), 0)
        np.testing.assert_allclose(clipped / scale, expected, rtol=1e-6)
