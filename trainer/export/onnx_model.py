"""ONNX models, by tf2onnx with Keras' patch for NumPy 2, as `keras.Model.export` makes them."""

import logging
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime
from etils import epath
from keras.src.export.tf2onnx_lib import patch_tf2onnx

from trainer.export.serving_graph import ServingGraph

OPSET = 18  # ONNX 1.13 and later read it


def convert(graph: ServingGraph) -> bytes:
    """Returns the model of what a graph, of networks in float32, answers for fitted images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the patch asks for np.object
        patch_tf2onnx()
        import tf2onnx
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    function = graph.of_numbers()
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    return model.SerializeToString()


def load(file: epath.Path) -> Callable[..., dict[str, np.ndarray]]:
    """Returns the function of a model's file, of images by the names of its inputs."""
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(**images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(None, images), strict=True))

    return run
