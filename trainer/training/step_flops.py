"""The floating-point operations of a training step, counted in what XLA makes of it.

The step is lowered, not compiled: its HLO names every operation of the augmentation, the forward
and the backward pass and the update. They are counted by the rules of XLA's own cost analysis,
which TensorFlow gives no access to.
"""

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from tensorflow.compiler.xla.service import hlo_pb2

from trainer.training.siamese_step import step_class
from trainer.training.state import create_state

# One operation for each value of the result; XLA counts transcendental functions apart.
ELEMENTWISE = {
    *("abs", "add", "and", "clamp", "compare", "divide", "floor", "maximum", "minimum"),
    *("multiply", "negate", "not", "or", "remainder", "round-nearest-even", "select", "sign"),
    *("shift-left", "shift-right-logical", "subtract", "xor"),
}


def count(config: ConfigDict, outputs: int) -> float | None:
    """Returns the operations of a whole step of a run, on all replicas together.

    None where XLA cannot lower the step, as one of deterministic kernels that it has none of.

    Args:
      config: of the run.
      outputs: number of labels.
    """
    config = config.copy_and_resolve_references()
    config.augment.jit_compile = False  # it is part of the step that is lowered
    with tf.device("CPU:0"):
        step = step_class(config)(create_state(config, 1000, 100, outputs=outputs), config)

        def take(*columns: tf.Tensor) -> tf.Tensor:
            batch = dict(zip(("image", "label", "row", "weight"), columns, strict=True))
            if config.train.accumulate == 1:
                return step(batch)
            for part in range(config.train.accumulate):
                step.add_part(batch, tf.constant(part))
            return step.update()

        images, side = config.train.batch_size, config.data.image_size
        lower = tf.function(take, jit_compile=True, autograph=False).experimental_get_compiler_ir(
            tf.TensorSpec((images, side, side, 1), tf.uint8),
            tf.TensorSpec((images, outputs), tf.float32),
            tf.TensorSpec((images,), tf.int32),
            tf.TensorSpec((images,), tf.float32),
        )
        try:
            return of_module(lower(stage="hlo_serialized", platform_name="CPU"))
        except (ValueError, tf.errors.OpError):
            return None


def of_module(serialized: bytes) -> float:
    """Returns the operations of a serialised HloModuleProto."""
    module = hlo_pb2.HloModuleProto.FromString(serialized)
    computations = {c.id: c for c in module.computations}
    return _Counter(computations).operations(module.entry_computation_id)


class _Counter:
    """Counts the operations of computations, each once."""

    def __init__(self, computations: Mapping[int, hlo_pb2.HloComputationProto]):
        self._computations = computations
        self._known: dict[int, float] = {}

    def operations(self, computation: int) -> float:
        """Returns those of a computation, of a loop those of one round."""
        if computation not in self._known:
            instructions = self._computations[computation].instructions
            shapes = {i.id: list(i.shape.dimensions) for i in instructions}
            self._known[computation] = sum(self._instruction(i, shapes) for i in instructions)
        return self._known[computation]

    def _instruction(
        self, i: hlo_pb2.HloInstructionProto, shapes: Mapping[int, list[int]]
    ) -> float:
        size = math.prod(i.shape.dimensions)
        if i.opcode in ELEMENTWISE:
            return size
        operands = [shapes[number] for number in i.operand_ids]
        if i.opcode == "dot":
            contracted = i.dot_dimension_numbers.lhs_contracting_dimensions
            return 2 * size * math.prod(operands[0][d] for d in contracted)
        if i.opcode == "convolution":
            return _convolution(i, operands[0])
        called = [self.operations(c) for c in i.called_computation_ids]
        if i.opcode == "conditional":
            return max(called)
        if i.opcode == "reduce":
            outs = len(operands) // 2
            out = size or math.prod(i.shape.tuple_shapes[0].dimensions)
            return called[0] * (math.prod(operands[0]) - out) if outs else 0
        if i.opcode == "reduce-window":
            return called[0] * size * (math.prod(d.size for d in i.window.dimensions) - 1)
        if i.opcode == "select-and-scatter":
            window = math.prod(d.size for d in i.window.dimensions)
            return math.prod(operands[1]) * (called[0] * (window - 1) + called[1])
        if i.opcode == "scatter":
            return called[0] * math.prod(operands[-1])
        return sum(called) if i.opcode in ("call", "while", "fusion") else 0


def _convolution(i: hlo_pb2.HloInstructionProto, image: list[int]) -> float:
    """Returns the operations of a convolution, of which none are with padding."""
    numbers, out = i.convolution_dimension_numbers, i.shape.dimensions
    channels = image[numbers.input_feature_dimension] // i.feature_group_count
    images = image[numbers.input_batch_dimension] // i.batch_group_count
    positions = 1.0
    for window, inner, outer in zip(
        i.window.dimensions,
        numbers.input_spatial_dimensions,
        numbers.output_spatial_dimensions,
        strict=True,
    ):
        at = np.arange(out[outer])[:, None] * window.stride - window.padding_low
        at = at + np.arange(window.size) * window.window_dilation
        within = (at >= 0) & (at <= (image[inner] - 1) * window.base_dilation)
        positions *= np.sum(within & (at % window.base_dilation == 0))
    return 2 * channels * images * out[numbers.output_feature_dimension] * float(positions)
