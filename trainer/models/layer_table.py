"""A network as a table: its layers with their shapes, parameters and floating-point operations."""

import math
from typing import Any, NamedTuple

import keras
from keras import layers

WEIGHTED = (layers.Dense, layers.Conv2D, layers.DepthwiseConv2D)
POOLING = (layers.MaxPooling2D, layers.AveragePooling2D)
GLOBAL_POOLING = (layers.GlobalMaxPooling2D, layers.GlobalAveragePooling2D)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU)
MERGING = (layers.Add, layers.Multiply)


class LayerRow(NamedTuple):
    """One layer.

    Attributes:
      layer: its name.
      kind: its class.
      output: shape of its output for one image.
      parameters: trained or not.
      flops: of one image's forward pass, see `flops`.
    """

    layer: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    flops: int


def rows(model: keras.Model) -> list[LayerRow]:
    """Returns a row for each layer but the input, in order of data flow."""
    return [
        LayerRow(
            layer.name,
            type(layer).__name__,
            tuple(layer.output.shape[1:]),
            layer.count_params(),
            flops(layer),
        )
        for layer in model.layers
        if not isinstance(layer, layers.InputLayer)
    ]


def flops(layer: keras.Layer) -> int:
    """Returns the floating-point operations of a layer in the forward pass of one image.

    A multiplication and an addition count as two. Counted are two-dimensional convolutions and
    dense layers with their biases and activations (one operation a value), batch normalisation
    (two a value: in inference it is a scale and a shift), pooling (one for each value of a
    window), activations, and sums and products of layers. Other layers, which move data or do
    nothing in inference, count 0. Channels come last.
    """
    shape = layer.output.shape[1:]
    size, positions = math.prod(shape), math.prod(shape[:-1])
    if isinstance(layer, WEIGHTED):
        return 2 * math.prod(layer.kernel.shape) * positions + _bias_and_activation(layer, size)
    if isinstance(layer, layers.SeparableConv2D):
        kernels = math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape)
        return 2 * kernels * positions + _bias_and_activation(layer, size)
    if isinstance(layer, layers.BatchNormalization):
        return 2 * size
    if isinstance(layer, POOLING):
        return math.prod(layer.pool_size) * size
    if isinstance(layer, GLOBAL_POOLING):
        return math.prod(layer.input.shape[1:])
    if isinstance(layer, ACTIVATIONS):
        return size
    if isinstance(layer, MERGING):
        return (len(layer.input) - 1) * size
    return 0


def summary(model: keras.Model) -> dict[str, Any]:
    """Returns the table for `model.json`: `name`, `input`, `trained` parameters, and `layers`."""
    return {
        "name": model.name,
        "input": model.input_shape[1:],
        "trained": _trained(model),
        "layers": [row._asdict() for row in rows(model)],
    }


def markdown(model: keras.Model) -> str:
    """Returns the table in Markdown, with the totals."""
    table = rows(model)
    lines = [
        f"**{model.name}**, input {_shape(model.input_shape[1:])}",
        "",
        "| layer | kind | output | parameters | million FLOPs |",
        "| :--- | :--- | ---: | ---: | ---: |",
    ]
    for row in table:
        counts = _counts(row.parameters, row.flops)
        lines.append(f"| {row.layer} | {row.kind} | {_shape(row.output)} | {counts} |")
    parameters, operations = model.count_params(), sum(row.flops for row in table)
    lines += [
        f"| **total** | | | {_counts(parameters, operations)} |",
        "",
        f"{_trained(model):,} of the parameters are trained. FLOPs: floating-point operations of "
        "one image's forward pass, where a multiplication and an addition count as two.",
    ]
    return "\n".join(lines)


def _bias_and_activation(layer: keras.Layer, size: int) -> int:
    active = layer.activation is not keras.activations.linear
    return (int(layer.use_bias) + int(active)) * size


def _trained(model: keras.Model) -> int:
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(f"{side:,}" for side in shape)


def _counts(parameters: int, operations: int) -> str:
    """Returns two cells of a row, blank where they are 0."""
    left = f"{parameters:,}" if parameters else ""
    right = f"{operations / 1e6:,.3f}" if operations else ""
    return f"{left} | {right}"
