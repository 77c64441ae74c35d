"""The networks of keras.applications, from grey images in 0..1 to logits."""

import inspect
from collections.abc import Callable
from importlib import import_module

import keras
import numpy as np
from keras import layers

from trainer.models import replicable
from trainer.models.dropout import Dropout

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
CONSTRUCTORS = {
    name.lower(): function
    for name, function in inspect.getmembers(keras.applications, inspect.isfunction)
}


def network(
    name: str, shape: tuple[int, int, int], outputs: int = 1, dropout: float = 0.0
) -> keras.Model:
    """Builds a network of keras.applications with random weights and a new head.

    It sees three channels in the range that its ImageNet weights were trained in, whatever `shape`
    says: a single one is repeated inside.

    Args:
      name: the constructor's name in lower case.
      shape: height, width and channels of the images.
      outputs: number of logits.
      dropout: share of the pooled features dropped in training.
    """
    constructor = CONSTRUCTORS[name]
    x = image = keras.Input(shape, name="image")
    if shape[-1] == 1:
        x = layers.Concatenate(name="three_channels")([x, x, x])
    scale, offset = _input_range(constructor)
    # float32 under any policy: half precision has too few digits for pixels.
    x = layers.Rescaling(scale, offset, dtype="float32", name="input_range")(x)
    with replicable.fresh_names():
        base = constructor(include_top=False, weights=None, input_tensor=x)
    x = layers.GlobalAveragePooling2D(name="average")(base.outputs[0])
    x = Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(outputs, dtype="float32", name="logits")(x)
    built = keras.Model(image, logits, name=name)
    return replicable.replicable(built, like=_with_known_range)


def backbone(name: str, side: int) -> keras.Model:
    """Returns a network of keras.applications with its ImageNet weights and without a head.

    Raises:
      Exception: what Keras raises where they cannot be downloaded.
    """
    return CONSTRUCTORS[name](include_top=False, weights="imagenet", input_shape=(side, side, 3))


def _input_range(constructor: Callable) -> tuple[list[float], list[float]]:
    """Returns scale and offset of each channel, from 0..1 to what the network takes.

    All channels of a radiograph are alike, so that their order does not matter.
    """
    preprocess = import_module(constructor.__module__).preprocess_input
    black, white = (preprocess(np.full((1, 1, 1, 3), x, np.float32))[0, 0, 0] for x in (0.0, 255.0))
    return (white - black).tolist(), black.tolist()


def _with_known_range(layer: keras.Layer) -> keras.Layer | None:
    """Returns EfficientNet's own normalisation with the numbers that come with its weights."""
    if isinstance(layer, layers.Normalization) and layer.input_mean is None:
        scale = [1 / each for each in DEVIATION]
        offset = [-mean / each for mean, each in zip(MEAN, DEVIATION, strict=True)]
        return layers.Rescaling(scale, offset, name=layer.name, dtype="float32")
    return None
