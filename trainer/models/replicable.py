"""A Keras network made right for any number of replicas, and for an exact resume."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src.applications.convnext import StochasticDepth
from keras.src.backend.common import global_state

from trainer.models.batch_normalization import BatchNormalization
from trainer.models.dropout import Dropout
from trainer.system.errors import UsageError

Replace = Callable[[keras.Layer], keras.Layer | None]
SPATIAL = (layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D)


def replicable(
    model: keras.Model,
    *,
    shape: tuple[int, ...] | None = None,
    like: Replace = lambda layer: None,
) -> keras.Model:
    """Returns a copy whose training depends on (seed, step, row) alone, with the same weights.

    Batch normalisation becomes that over all replicas, and dropout of any kind that whose masks
    are drawn by row. Models inside become part of it, so that every layer is seen.

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

    def rebuild(self, model: Any, inputs: Any, training: bool | None = None) -> Any:
        """Returns the outputs of the layers' copies, called as in `model` on other inputs."""
        graph = model._functional if isinstance(model, keras.Sequential) else model

        def operation(layer: Any) -> Callable:
            if isinstance(layer, keras.Function | keras.Sequential):
                return lambda x, training=training, **_: self.rebuild(layer, x, training)
            copy = self._copy(layer)
            if training is None or not getattr(copy, "_call_has_training_arg", False):
                return copy
            return lambda *given, **named: copy(*given, **named | {"training": training})

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


def replacement(layer: keras.Layer) -> keras.Layer | None:
    """Returns what takes the place of a layer that must know of the other replicas, or None."""
    config = layer.get_config()
    same = {"name": layer.name, "dtype": layer.dtype_policy}
    if type(layer) is layers.BatchNormalization:
        return BatchNormalization.from_config({**config, "synchronized": False})
    if isinstance(layer, StochasticDepth):
        return Dropout(layer.drop_path_rate, mask_shape=(1, 1, 1), **same)
    if isinstance(layer, SPATIAL):
        positions = [1] * (len(layer.input.shape) - 2)
        last = config.get("data_format") != "channels_first"
        return Dropout(
            layer.rate, mask_shape=(*positions, None) if last else (None, *positions), **same
        )
    if type(layer) is layers.Dropout:
        shape = layer.noise_shape
        if shape is None:
            return Dropout(layer.rate, **same)
        if shape[0] is None:
            return Dropout(layer.rate, mask_shape=shape[1:], **same)
    if isinstance(layer, layers.Normalization):
        return _constants(layer)
    return None


def _constants(layer: layers.Normalization) -> layers.Rescaling | None:
    """Returns a normalisation, whose numbers are not trained, as constants."""
    mean, variance = (np.ravel(keras.ops.convert_to_numpy(x)) for x in (layer.mean, layer.variance))
    if layer.invert or layer.axis not in ((-1,), (3,)):
        return None
    scale = 1 / np.maximum(np.sqrt(variance), keras.config.epsilon())
    return layers.Rescaling(
        scale.tolist(), (-mean * scale).tolist(), name=layer.name, dtype="float32"
    )


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
                "leave it out, or write it with layers of Keras that the network's own graph shows."
            )


def _doubt(layer: keras.Layer, *, inside: bool) -> str:
    ours = isinstance(layer, BatchNormalization | Dropout)
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
