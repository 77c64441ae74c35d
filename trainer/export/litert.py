"""LiteRT models, once TensorFlow Lite's, for phones and small computers."""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from etils import epath

from trainer.export.serving_graph import ServingGraph

FLOAT16, INT8 = "litert_float16", "litert_int8"


def convert(graph: ServingGraph, kind: str, squares: Sequence[np.ndarray]) -> bytes:
    """Returns the model of what a graph answers for fitted images.

    Args:
      graph: of networks in float32.
      kind: of `trainer.export.formats.GROUPS["litert"]`; int8 computes in whole numbers, float16
        stores the weights so.
      squares: for each input, [n, S, S, 1] uint8, images that int8's scales are computed from.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [graph.of_numbers().get_concrete_function()], graph
    )
    if kind in (FLOAT16, INT8):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == FLOAT16:
        converter.target_spec.supported_types = [tf.float16]

    def images() -> Iterator[list[np.ndarray]]:
        for number in range(len(squares[0])):
            yield [square[number : number + 1] for square in squares]

    if kind == INT8:
        converter.representative_dataset = images
    return converter.convert()


def load(file: epath.Path) -> Callable[..., dict[str, np.ndarray]]:
    """Returns the function of a model's file, of images by the names of its inputs."""
    threads = len(os.sched_getaffinity(0))
    interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
    return interpreter.get_signature_runner()
