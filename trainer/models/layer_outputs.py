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


def activation_model(model: keras.Model) -> keras.Model:
    """Returns a model of the outputs of convolution and pooling layers, which shares its weights.

    It needs to be made only once, since it follows the training of `model`. Global pooling is left
    out, and models nested inside `model` are not opened.

    Args:
      model: a functional model with channels last.

    Returns:
      A model of the same inputs with a list of outputs in order of data flow, each
      [n, h, w, c] in the compute dtype and named after its layer.

    Raises:
      ValueError: `model` has no such layer.
    """
    layers = [layer for layer in model.layers if isinstance(layer, LAYER_TYPES)]
    if not layers:
        raise ValueError(f"The model {model.name} has no convolution or pooling layer of its own.")
    return keras.Model(model.inputs[0], [layer.output for layer in layers], name="activations")


def activation_maps(activation_model: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the outputs of the inner layers for `images`, as in inference.

    Args:
      activation_model: from `activation_model()`.
      images: [n, H, W, C] float32, 0..1.

    Returns:
      By layer name, in order of data flow: [n, h, w, c] float32.
    """
    # A plain call: predict() under a distribution strategy would run once per replica.
    outputs = activation_model(images, training=False)
    # Keras returns a single output without its list.
    outputs = keras.tree.flatten(outputs)
    return {
        name: keras.ops.convert_to_numpy(keras.ops.cast(output, "float32"))
        for name, output in zip(activation_model.output_names, outputs, strict=True)
    }


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
    for layer in model.layers:
        shape = layer.output.shape
        if isinstance(layer, keras.layers.InputLayer) or len(shape) != 4:
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
