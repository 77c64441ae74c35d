"""A network without layers of this package, which any Keras loads."""

from collections.abc import Iterator

import keras
from keras import layers

from trainer.export.metadata import input_names
from trainer.judge.ensemble import Ensemble, Fit
from trainer.models import views
from trainer.models.batch_normalization import BatchNormalization
from trainer.models.keyed_layer import KeyedLayer
from trainer.training.trained_model import TrainedModel


def plain_network(ensemble: Ensemble) -> keras.Model:
    """Returns the networks of the runs as one, from fitted pixels to probabilities.

    Args:
      ensemble: the runs; of several the softmax or sigmoid is of the mean of their calibrated
        logits, which gives what the mean of their log-odds does.

    Returns:
      A model [n, S, S, 1] of 0..255 -> [n, K] probabilities, not calibrated, with an input for each
      of the ensemble's squares.
    """
    inputs = {
        fit: keras.Input((fit.image_size, fit.image_size, 1), name=name)
        for name, fit in zip(input_names(len(ensemble.fits)), ensemble.fits, strict=True)
    }
    logits = []
    for number, member in enumerate(ensemble.members, 1):
        pixels = inputs[Fit(member.config.data.image_size, member.config.data.fit)]
        network, images = _plain(member, f"network_{number}"), _images(member, pixels, number)
        each = [network(view) for view in (images, *_views(member, images, number))]
        logits.append(layers.Average(dtype="float32")(each) if len(each) > 1 else each[0])
    if len(logits) > 1:
        logits = [
            layers.Rescaling([1 / each for each in member.temperatures], dtype="float32")(one)
            for member, one in zip(ensemble.members, logits, strict=True)
        ]
        logits = [layers.Average(dtype="float32")(logits)]
    activation = "softmax" if ensemble.outputs.exclusive else "sigmoid"
    probability = layers.Activation(activation, dtype="float32", name="probability")
    given = list(inputs.values())
    given = given[0] if len(given) == 1 else given
    return keras.Model(given, probability(logits[0]), name="radiograph")


def _images(member: TrainedModel, pixels: keras.KerasTensor, number: int) -> keras.KerasTensor:
    """Returns what the network of a run takes."""
    images = layers.Rescaling(1 / 255, name=f"scale_{number}", dtype="float32")(pixels)
    if (channels := member.config.model.channels) > 1:
        images = layers.Concatenate(name=f"channels_{number}", dtype="float32")([images] * channels)
    return images


def _views(
    member: TrainedModel, images: keras.KerasTensor, number: int
) -> Iterator[keras.KerasTensor]:
    """Yields the other views of images that the network of a run answers by."""
    _, side, _, channels = images.shape
    made = views.resamplings(side, member.config.model.views)
    for view, (rows, columns) in enumerate(made, 2):
        seen = images
        for axis, equation, matrix in (
            ("rows", "bijc,ih->bhjc", rows),
            ("columns", "bijc,jw->biwc", columns),
        ):
            layer = layers.EinsumDense(
                equation,
                (side, side, channels),
                name=f"view_{view}_{axis}_{number}",
                trainable=False,
                dtype="float32",
            )
            seen = layer(seen)
            layer.set_weights([matrix.T])
        yield seen


def _plain(member: TrainedModel, name: str) -> keras.Model:
    clone = keras.models.clone_model(member.model, clone_function=_plain_layer)
    clone.set_weights(member.model.get_weights())
    return keras.Model(clone.inputs, clone.outputs[0], name=name)


def float32_network(trained: TrainedModel) -> keras.Model:
    """Returns the network of a run in float32, whatever precision it was trained in."""
    if trained.config.precision == "float32":
        return trained.model

    def full(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(layer.get_config() | {"dtype": "float32"})

    clone = keras.models.clone_model(trained.model, clone_function=full)
    clone.set_weights(trained.model.get_weights())
    return clone


def _plain_layer(layer: keras.Layer) -> keras.Layer:
    if isinstance(layer, KeyedLayer):
        return layer.plain()
    kind = layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
    return kind.from_config(layer.get_config())
