"""One's own network: a function in a file or a module that returns a Keras model."""

import keras
from etils import epath
from keras import layers
from ml_collections import ConfigDict

from trainer import network_names
from trainer.models import layer_outputs, replicable
from trainer.system import own_function
from trainer.system.errors import UsageError

ACTIVATIONS = (layers.Activation, layers.Softmax, layers.ReLU)
LINEAR = keras.activations.linear


def network(
    shape: tuple[int, int, int],
    outputs: int,
    options: ConfigDict,
    *,
    source: epath.PathLike | None = None,
) -> keras.Model:
    """Builds the network that `options.name` names, and makes it right for any replicas.

    Args:
      shape: height, width and channels of the images.
      outputs: number of logits.
      options: the config's group `model`.
      source: the file that holds the function, where it is not the one that is named.

    Raises:
      UsageError: there is no such function, it fails, or it returns another network than it must.
    """
    named = network_names.own(options.name)
    assert named is not None, options.name
    build = own_function.load(f"{source or named.source}:{named.function}", "model.name")
    with replicable.fresh_names():
        try:
            model = build(shape, outputs, options)
        except own_function.RAISED as error:
            raise UsageError(_sentence(options, f"raises {own_function.reason(error)}")) from error
    if fault := _fault(model, shape, outputs):
        raise UsageError(_sentence(options, fault))
    try:
        copy = replicable.replicable(model, shape=shape)
        for shown in (
            layer_outputs.inner_layers,
            layer_outputs.stages,
            layer_outputs.first_filters,
        ):
            shown(copy)
        return copy
    except (UsageError, ValueError) as error:
        raise UsageError(f"model.name={options.name}: {error}") from error


def _fault(model: object, shape: tuple[int, int, int], outputs: int) -> str:
    """Returns what is wrong with a network, "" for nothing."""
    if not isinstance(model, keras.Model):
        return f"returns {type(model).__name__}, not a keras.Model"
    if not isinstance(model, keras.Function | keras.Sequential) or not model.built:
        return "returns a model whose layers cannot be seen, not keras.Model(inputs, outputs)"
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs, not one of each"
    taken = tuple(model.inputs[0].shape[1:])
    if len(taken) != 3 or any(
        side not in (None, wanted) for side, wanted in zip(taken, shape, strict=True)
    ):
        return f"takes images of shape {taken}, not {shape}"
    if tuple(model.outputs[0].shape[1:]) != (outputs,):
        return f"gives {tuple(model.outputs[0].shape[1:])} values an image, not ({outputs},)"
    last = replicable.last_layer(model)
    if not isinstance(last, keras.Layer):
        return f"ends in {last.name}, where a layer such as Dense is wanted"
    if isinstance(last, ACTIVATIONS) or getattr(last, "activation", LINEAR) is not LINEAR:
        return f"ends in an activation ({last.name}), where logits are wanted: leave it out"
    return ""


def _sentence(options: ConfigDict, fault: str) -> str:
    return (
        f"model.name={options.name} {fault}; it is called with (shape, labels, model) and returns "
        "a keras.Model from images in 0..1 to a logit for each label."
    )
