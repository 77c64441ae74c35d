"""What takes the place of layers of Keras that must know of the other replicas."""

from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src.applications.convnext import StochasticDepth

from trainer.models.batch_normalization import BatchNormalization
from trainer.models.dropout import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from trainer.models.random_images import (
    RandomBrightness,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
)

SPATIAL = (layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)
NOISE = (GaussianDropout, GaussianNoise)
IMAGES = (
    *(RandomBrightness, RandomContrast, RandomFlip),
    *(RandomRotation, RandomTranslation, RandomZoom),
)
OURS = {getattr(layers, kind.__name__): kind for kind in (*NOISE, *IMAGES)}
# Fields of layers of Keras that draw, and the only value of each that ours know.
ONLY = {"data_format": "channels_last", "interpolation": "bilinear", "bounding_box_format": None}


def replacement(layer: keras.Layer) -> keras.Layer | None:
    """Returns what takes the place of a layer that must know of the other replicas, or None."""
    if type(layer) is layers.BatchNormalization:
        return BatchNormalization.from_config({**layer.get_config(), "synchronized": False})
    if isinstance(layer, layers.Normalization):
        return _constants(layer)
    if getattr(layer, "rate", 0) == 1:
        return None  # what drops all has no mean to keep
    if type(layer) in OURS:
        return _drawing_alike(layer)
    return _dropout(layer)


def _dropout(layer: keras.Layer) -> Dropout | None:
    same: dict[str, Any] = {"name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, StochasticDepth):
        return Dropout(layer.drop_path_rate, mask_shape=(1, 1, 1), **same)
    if isinstance(layer, SPATIAL):
        positions = [1] * (len(layer.input.shape) - 2)
        last = layer.get_config().get("data_format") != "channels_first"
        return Dropout(
            layer.rate, mask_shape=(*positions, None) if last else (None, *positions), **same
        )
    if type(layer) in (layers.Dropout, layers.AlphaDropout):
        kind = Dropout if type(layer) is layers.Dropout else AlphaDropout
        shape = layer.noise_shape
        if shape is None:
            return kind(layer.rate, **same)
        if shape[0] is None:
            return kind(layer.rate, mask_shape=shape[1:], **same)
    return None


def _drawing_alike(layer: keras.Layer) -> keras.Layer | None:
    """Returns the layer of this package with the same name and fields, if it knows their values."""
    config = layer.get_config()
    del config["seed"]
    if any(config.pop(name, only) != only for name, only in ONLY.items()):
        return None
    if config.get("fill_mode") == "wrap":
        return None
    kind = OURS[type(layer)]
    if kind in IMAGES and len(layer.input.shape) != 4:
        return None
    return kind.from_config(config)


def _constants(layer: layers.Normalization) -> layers.Rescaling | None:
    """Returns a normalisation, whose numbers are not trained, as constants."""
    mean, variance = (np.ravel(keras.ops.convert_to_numpy(x)) for x in (layer.mean, layer.variance))
    if layer.invert or layer.axis not in ((-1,), (3,)):
        return None
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return layers.Rescaling(
        scale.tolist(), (-mean * scale).tolist(), name=layer.name, dtype="float32"
    )
