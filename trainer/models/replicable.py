"""A Keras network made right for any number of replicas, and for an exact resume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
from keras import layers
from keras.src.backend.common import global_state
from keras.src.layers.preprocessing.image_preprocessing.base_image_preprocessing_layer import (
    BaseImagePreprocessingLayer,
)

from trainer.models.batch_normalization import BatchNormalization
from trainer.models.keyed_layer import KeyedLayer
from trainer.models.replacements import replacement
from trainer.system.errors import UsageError

Replace = Callable[[keras.Layer], keras.Layer | None]
# Fields of a config that do what layers of Keras do which are refused.
FIELDS = {
    "CutMix": "augment.cutmix",
    "MixUp": "augment.mixup",
    "RandomCrop": "augment.crop_range",
    "RandomErasing": "augment.erase",
    "RandomGaussianBlur": "augment.blur_range",
    "RandomRotation": "augment.rotation_range",
    "RandomShear": "augment.shear_range",
    "RandomTranslation": "augment.width_shift_range",
    "RandomZoom": "augment.zoom_range",
}


def replicable(
    model: keras.Model,
    *,
    shape: tuple[int, ...] | None = None,
    like: Replace = lambda layer: None,
) -> keras.Model:
    """Returns a copy whose training depends on (seed, step, row) alone, with the same weights.

    Batch normalisation becomes that over all replicas, and layers that draw those of this package,
    which draw by row. Models inside become part of it, so that every layer is seen.

    Args:
      model: functional or sequential, with one input.
      shape: of an image, where the model leaves some of it open.
      like: returns what takes the place of a layer, or None for the usual.

    Raises:
      UsageError: a layer keeps a state, draws numbers or behaves in training in a way that may
        differ from replica to replica.
    """
    if not isinstance(model, keras.Function | keras.Sequential):
        raise UsageError(
            f"the network {model.name} is a subclass of keras.Model, whose layers cannot be seen: "
            "build it with keras.Model(inputs, outputs) or keras.Sequential."
        )
    made = _Copies(like, last_layer(model))
    with fresh_names():
        image = keras.Input(shape or model.inputs[0].shape[1:], name="image")
        copy = keras.Model(image, made.rebuild(model, image), name=model.name)
    made.copy_weights()
    return copy


def copied(model: keras.Model) -> keras.Model:
    """Returns a copy with weights of its own, of the same values and names."""
    with fresh_names():
        copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def last_layer(model: keras.Model) -> Any:
    """Returns the layer or operation that gives a model's output, of a model inside too."""
    last: Any = model
    while isinstance(last, keras.Function | keras.Sequential):
        last = last.outputs[0]._keras_history.operation
    return last


def head(model: keras.Model) -> keras.Layer:
    """Returns the last layer of a model that has weights, which gives its logits."""
    return next(layer for layer in reversed(model.layers) if layer.weights)


@contextmanager
def fresh_names() -> Iterator[None]:
    """Names the layers that have no name as in a new process, for the checkpoint."""
    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", None)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


class _Copies:
    """The copies of layers, each made once."""

    def __init__(self, like: Replace, last: Any):
        self._like, self._last = like, last
        self._made: dict[int, tuple[keras.Layer, keras.Layer]] = {}
        self._names: set[str] = set()

    def rebuild(self, model: Any, inputs: Any) -> Any:
        """Returns the outputs of the layers' copies, called as in `model` on other inputs."""
        graph = model._functional if isinstance(model, keras.Sequential) else model

        def operation(layer: Any) -> Callable:
            if isinstance(layer, keras.Function | keras.Sequential):
                return partial(_call, layer, lambda x, **_: self.rebuild(layer, x))
            copy = self._copy(layer)
            return partial(_call, layer, copy) if isinstance(layer, keras.Layer) else copy

        return graph._run_through_graph(inputs, operation_fn=operation)

    def copy_weights(self) -> None:
        """Gives every copy the weights of its layer."""
        for layer, copy in self._made.values():
            if copy.weights:
                copy.set_weights(layer.get_weights())

    def _copy(self, layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):
            return layer  # an operation such as x + y, which has no state
        if id(layer) not in self._made:
            if len(layer._inbound_nodes) > 1:
                raise UsageError(
                    f"the layer {layer.name} ({type(layer).__name__}) is called more than once, so "
                    "that it has no output of its own to show: make a layer for each call."
                )
            copy = self._like(layer) or replacement(layer)
            if copy is None:
                refuse_unless_stateless(layer)
                logits = {"dtype": "float32"} if layer is self._last else {}  # under any precision
                copy = type(layer).from_config(layer.get_config() | logits)
            copy.name = self._unique(layer.name)
            self._made[id(layer)] = layer, copy
        return self._made[id(layer)][1]

    def _unique(self, name: str) -> str:
        """Returns the name, with a number where another model inside has the same."""
        number, unique = 1, name
        while unique in self._names:
            number, unique = number + 1, f"{name}_{number}"
        self._names.add(unique)
        return unique


def _call(layer: keras.Layer, copy: Callable, *given: Any, **named: Any) -> Any:
    """Calls a layer's copy, which learns that it is in training from the network's call alone.

    That is so in Keras too: in `fit` and `predict` it counts for nothing what a layer's own call
    says, and layers that augment images say True unasked.
    """
    augments = isinstance(layer, BaseImagePreprocessingLayer)
    if named.pop("training", None) and not augments:
        raise UsageError(
            f"{layer.name} ({type(layer).__name__}) is called with training=True, and would draw "
            "or learn in use: leave that out, since layers know when they are in training."
        )
    return copy(*given, **named)


def refuse_unless_stateless(layer: keras.Layer) -> None:
    """Raises a UsageError for a layer that may train differently from replica to replica."""
    for part in layer._flatten_layers():
        weights = part._trainable_variables
        if part.activity_regularizer or any(weight.regularizer for weight in weights):
            raise UsageError(
                f"the layer {layer.name} ({type(layer).__name__}) has a regularizer, which this "
                "training's loss leaves out: give --config.optimizer.weight_decay in its place."
            )
        if reason := _doubt(part, inside=part is not layer):
            raise UsageError(
                f"the layer {layer.name} ({type(layer).__name__}) {reason}, so that training would "
                "depend on how the images are split among replicas and on when it is resumed: "
                f"leave it out, {_instead(layer)}."
            )


def _instead(layer: keras.Layer) -> str:
    if isinstance(layer, BaseImagePreprocessingLayer):
        field = FIELDS.get(type(layer).__name__, "augment.extra")
        return f"and give --config.{field} in its place"
    return "or write it with layers of Keras that the network's own graph shows"


def _doubt(layer: keras.Layer, *, inside: bool) -> str:
    ours = isinstance(layer, BatchNormalization | KeyedLayer)
    if ours and not inside:
        return ""
    if ours or (inside and isinstance(layer, layers.BatchNormalization)):
        return f"holds {type(layer).__name__} inside"
    if isinstance(layer, layers.Lambda):
        return "runs code that cannot be seen"
    if layer._seed_generators:
        return "draws random numbers from a state of its own"
    if layer._non_trainable_variables:
        return f"changes {layer._non_trainable_variables[0].name}, which is not trained"
    of_keras = type(layer).__module__.startswith("keras.")
    if layer._call_has_training_arg and not of_keras:
        return "does something else in training than in use"
    return ""
