"""Outputs of the inner layers of a network, its stages, and its first filters."""

import keras
import numpy as np

LAYER_TYPES = (
    keras.layers.Conv2D,
    keras.layers.SeparableConv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


MOST_LAYERS = 20  # that are shown of a large network

# What only changes the size or range of what another layer has put out.
NO_STAGE = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D, keras.layers.Rescaling)


def inner_layers(model: keras.Model) -> list[str]:
    """Returns the names of the convolution and pooling layers in order of data flow.

    Of more than `MOST_LAYERS` these are so many at equal distances, with the first and the last.
    Global pooling is left out, and models nested inside `model` are not opened.

    Raises:
      ValueError: `model` has no such layer.
    """
    layers = [layer.name for layer in model.layers if isinstance(layer, LAYER_TYPES)]
    if not layers:
        raise ValueError(f"The model {model.name} has no convolution or pooling layer of its own.")
    if len(layers) > MOST_LAYERS:
        layers = [
            layers[i] for i in np.linspace(0, len(layers) - 1, MOST_LAYERS).round().astype(int)
        ]
    return layers


def activation_maps(model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs of the inner layers for `images`, as in inference.

    Args:
      model: a functional model with channels last.
      images: [n, H, W, C] float32, 0..1.

    Returns:
      By layer name, in order of data flow: [n, h, w, c] float32.
    """
    names = inner_layers(model)
    inner = keras.Model(model.inputs[0], [model.get_layer(name).output for name in names])
    # A plain call: predict() under a distribution strategy would run once per replica.
    outputs = keras.tree.flatten(inner(images, training=False))  # a single one has no list
    return {name: to_float32(output) for name, output in zip(names, outputs, strict=True)}


def to_float32(output: keras.KerasTensor) -> np.ndarray:
    """Returns what a layer in any precision put out."""
    return keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))


def stages(model: keras.Model) -> list[str]:
    """Returns the layers whose output is the last of its size, before the network halves it.

    In a residual network these are the ends of the stages, after the shortcuts are added.

    Args:
      model: a functional model with channels last.

    Returns:
      Names of layers in order of data flow, each with an output [b, h, w, c] of more than one
      position.

    Raises:
      ValueError: `model` has no such layer.
    """
    last_of_size: dict[tuple[int, int], str] = {}
    learnt = False
    for layer in model.layers:
        shape, learnt = layer.output.shape, learnt or bool(layer.weights)
        if not learnt or isinstance(layer, NO_STAGE) or len(shape) != 4:
            continue
        last_of_size.pop(shape[1:3], None)
        if shape[1:3] != (1, 1):
            last_of_size[shape[1:3]] = layer.name
    if not last_of_size:
        raise ValueError(f"The model {model.name} has no layer with more than one position.")
    return list(last_of_size.values())


def first_filters(model: keras.Model) -> tuple[str, np.ndarray]:
    """Returns the filters of the first convolution, which alone can be seen as small images.

    Args:
      model: a functional model with channels last.

    Returns:
      The layer's name, and its filters, [n, h, w, c] float32.

    Raises:
      ValueError: `model` has no convolution of its own.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = keras.ops.convert_to_numpy(layer.kernel).astype(np.float32)
            return layer.name, kernel.transpose(3, 0, 1, 2)
    raise ValueError(f"The model {model.name} has no convolution of its own.")
