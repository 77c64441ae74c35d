"""A network without layers of this package, which any Keras loads."""

import keras
from keras import layers

from trainer.models.batch_normalization import BatchNormalization
from trainer.models.dropout import Dropout
from trainer.training.trained_model import TrainedModel


def plain_network(trained: TrainedModel) -> keras.Model:
    """Returns the network of a run from fitted pixels to probabilities.

    Args:
      trained: the run's network, with its best weights.

    Returns:
      A model [n, S, S, 1] of 0..255 -> [n, K] probabilities, not calibrated.
    """
    clone = keras.models.clone_model(trained.model, clone_function=_plain_layer)
    clone.set_weights(trained.model.get_weights())
    config = trained.config
    pixels = keras.Input((config.data.image_size, config.data.image_size, 1), name="fitted")
    images = layers.Rescaling(1 / 255, name="scale")(pixels)
    if config.model.channels > 1:
        images = layers.Concatenate(name="channels")([images] * config.model.channels)
    activation = "softmax" if trained.outputs.exclusive else "sigmoid"
    probability = layers.Activation(activation, dtype="float32", name="probability")
    return keras.Model(pixels, probability(clone(images)), name=trained.model.name)


def _plain_layer(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, Dropout):
        return layers.Dropout(layer.rate, name=layer.name, dtype=layer.dtype_policy)
    kind = layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())
