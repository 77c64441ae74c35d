"""A network that learns without labels: the backbone of another, with a projector and a predictor.

Two views of an image go through it, and the prediction from one is to be the projection of the
other (Chen and He 2021, "Exploring simple siamese representation learning").
"""

import keras
from keras import layers
from ml_collections import ConfigDict

from trainer.models import replicable
from trainer.models.batch_normalization import BatchNormalization

ADDED = ("projector", "predictor")  # what the names of its own layers begin with


def network(model: keras.Model, options: ConfigDict) -> keras.Model:
    """Returns the network from images to features [b, F], projection and prediction [b, d].

    Its layers up to the features are those of `model`, under the same names.

    Args:
      model: whose last layer with weights, the head, is left out.
      options: the config's group `pretrain`.
    """
    size = options.projection
    x = features = _of_image(replicable.head(model).input)
    for number, relu in ((1, True), (2, False)):
        x = _dense(x, size, f"{ADDED[0]}{number}", relu=relu)
    projection = x
    x = _dense(x, max(size // 4, 1), f"{ADDED[1]}1")
    prediction = layers.Dense(size, dtype="float32", name=f"{ADDED[1]}2")(x)
    return keras.Model(model.inputs[0], [features, projection, prediction], name="siamese")


def _of_image(features: keras.KerasTensor) -> keras.KerasTensor:
    """Returns features of the whole image: the mean over positions, where there are any."""
    positions = tuple(range(1, len(features.shape) - 1))
    return keras.ops.mean(features, axis=positions) if positions else features


def _dense(x: keras.KerasTensor, units: int, name: str, *, relu: bool = True) -> keras.KerasTensor:
    x = layers.Dense(units, use_bias=False, name=name)(x)
    x = BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if relu else x
