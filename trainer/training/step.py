"""One training step per replica, and the loop that runs it.

This is all that the accelerator runs: cast, augment, model, loss, gradient, all-reduce, update.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.data.device_cache import DeviceBatches
from trainer.metrics.scores import Scores
from trainer.models import keyed_layer
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.training import optimizer
from trainer.training.global_batch import (
    Batch,
    by_example,
    place_rows,
    scores_of,
    sum_over_replicas,
)
from trainer.training.loss import EQUAL_WEIGHTS, elements_of, loss_of
from trainer.training.state import State


class StepResult(NamedTuple):
    """The result of one training step, equal on all replicas.

    Attributes:
      scores: [B, 2 K + 1] float32, logits, labels and weight of the rows of the global batch.
      gradient_norm: length of the gradient before clipping, where it was asked for, else 0.
      finite: whether the gradient was, bool; if it was not, it has not reached the weights.
    """

    scores: tf.Tensor
    gradient_norm: tf.Tensor
    finite: tf.Tensor


class LoopResult(NamedTuple):
    """The result of one loop of training steps.

    Attributes:
      losses: [steps] float32, the loss of each step.
      finite: [steps] bool, whether the gradient of each step was.
      gradient_norm: length of the last step's gradient, before clipping.
      update_ratio: length of the last step's change of the weights, as a share of their length.
      scores: of every example of the loop, [steps * global batch]; the network's own outputs.
      seconds: duration of the loop.
      wait_seconds: the part of it spent waiting for input.
    """

    losses: np.ndarray
    finite: np.ndarray
    gradient_norm: float
    update_ratio: float
    scores: Scores
    seconds: float
    wait_seconds: float


class ReplicaStep:
    """One training step as each replica takes it, and all that a TPU has to compile.

    `replica_step(batch)` augments, computes loss and gradient, and updates the variables. With
    `train.accumulate` of K, `add_part(batch, k)` does the first two for the k-th of K parts of
    the replica's rows, and `update()` the last; only one part's activations are in memory. A
    batch from a `source` has only its rows; what is at these is on the device.

    Each replica's scores are 0 but at its rows of the global batch, so that one sum over replicas,
    of gradient and scores together, is that of the whole batch. The norm is computed only where
    `measured` is true, since in a large network it takes a hundredth of the step.
    """

    def __init__(
        self,
        state: State,
        config: ConfigDict,
        class_weights: np.ndarray = EQUAL_WEIGHTS,
        *,
        exclusive: bool = False,
        on_tpu: bool = False,
    ):
        self._state, self._config, self._exclusive = state, config, exclusive
        self._class_weights = class_weights
        self._elements = elements_of(config.loss, self.outputs, exclusive=exclusive)
        self._augmentation = augmentation.of_run(config, on_tpu=on_tpu)

    @property
    def outputs(self) -> int:
        """Columns of the scores that are outputs: as many as there are labels."""
        return self._state.model.output_shape[-1]

    def __call__(
        self,
        batch: Batch,
        measured: tf.Tensor | bool = False,
        source: DeviceBatches | None = None,
    ) -> StepResult:
        """Takes a whole step."""
        return self._update(self._gradients_and_scores(batch, source), measured)

    def add_part(self, batch: Batch, part: tf.Tensor, source: DeviceBatches | None = None) -> None:
        """Adds up gradient and scores of one part of the rows."""
        rows = batch["row"].shape[0] // self._config.train.accumulate
        slices = {
            name: tf.ensure_shape(
                column[part * rows : (part + 1) * rows], [rows, *column.shape[1:]]
            )
            for name, column in batch.items()
        }
        part_values = self._gradients_and_scores(slices, source)
        for total, value in zip(self._state.accumulated, part_values, strict=True):
            total.assign_add(value)

    def update(self, measured: tf.Tensor | bool = False) -> StepResult:
        """Updates the variables by the gradient of all parts."""
        result = self._update([total.read_value() for total in self._state.accumulated], measured)
        for total in self._state.accumulated:
            total.assign(tf.zeros_like(total))
        return result

    def loss(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns what examples with these scores contribute to the step's loss: a scalar."""
        logits, labels, weights = tf.split(scores, [self.outputs, self.outputs, 1], axis=1)
        total = loss_of(
            logits,
            labels,
            weights[:, 0],
            label_smoothing=self._config.loss.label_smoothing,
            class_weights=self._class_weights,
            exclusive=self._exclusive,
            elements=self._elements,
        )
        return total / self._config.train.batch_size

    def _gradients_and_scores(self, batch: Batch, source: DeviceBatches | None) -> list[tf.Tensor]:
        """Returns this replica's share of the gradient of each variable, and its scores."""
        state, config = self._state, self._config
        batch = source.look_up(batch) if source else batch
        global_batch = config.train.batch_size
        key = random_numbers.key(config.seed, state.step)
        images = images_to_float(batch["image"])
        images = self._augmentation(images, key, batch["row"], global_batch=global_batch)
        if self._augmentation.mixing.is_on:
            images, labels = self._augmentation.mix(
                images, batch["label"], key, batch["row"], global_batch=global_batch
            )
            batch = batch | {"label": labels}
        images = repeat_channels(images, config.model.channels)
        with tf.GradientTape() as tape:
            with keyed_layer.drawing_from(key, batch["row"], global_batch):
                logits = state.model(images, training=True)
            scores = scores_of(logits, batch)
            scaled_loss = self.loss(scores) * optimizer.loss_scale(state.optimizer)
        gradients = tape.gradient(scaled_loss, state.model.trainable_variables)
        return [*gradients, place_rows(scores, batch["row"], global_batch)]

    def _update(self, shares: list[tf.Tensor], measured: tf.Tensor | bool = False) -> StepResult:
        """Updates the variables by what `_gradients_and_scores` returned on each replica."""
        state, built = self._state, self._state.optimizer
        *gradients, scores = sum_over_replicas(shares)
        measured = tf.convert_to_tensor(measured)
        norm = tf.cond(measured, lambda: optimizer.global_norm(gradients, built), lambda: 0.0)
        finite = optimizer.all_finite(gradients)
        gradients = optimizer.zero_unless(finite, gradients, built)
        clipped = optimizer.clip(gradients, self._config.optimizer.clip_norm, built)
        built.apply(clipped, state.model.trainable_variables)
        if self._config.train.ema:
            _update_average(state, self._config.train.ema)
        return StepResult(scores, norm, finite)


def compiles_step(strategy: tf.distribute.Strategy, options: ConfigDict) -> bool:
    """Returns whether XLA compiles the whole step, and not the augmentation alone.

    A GPU computes the hundreds of kernels of a step in less time than it takes to start them one
    by one. XLA compiles neither the sum over several GPUs that is inside the step, nor a
    deterministic gradient of max pooling.

    Args:
      strategy: of the run.
      options: `train` of the config.
    """
    if not isinstance(strategy, tf.distribute.OneDeviceStrategy):
        return False
    if options.jit != "auto":
        return options.jit == "on"
    return "GPU" in strategy.extended.worker_devices[0] and not options.deterministic


def train_loop(
    strategy: tf.distribute.Strategy,
    state: State,
    config: ConfigDict,
    *,
    class_weights: np.ndarray = EQUAL_WEIGHTS,
    exclusive: bool = False,
    step_class: type[ReplicaStep] = ReplicaStep,
) -> Callable[[Iterator[Batch], int], LoopResult]:
    """Returns a function that takes n training steps on the batches of an iterator."""
    on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    replica_step = step_class(state, config, class_weights, exclusive=exclusive, on_tpu=on_tpu)
    compiled = compiles_step(strategy, config.train)
    # Only the loops below need AutoGraph, which reads a step's source for a second.
    as_it_is = tf.autograph.experimental.do_not_convert
    methods: list[Callable] = [replica_step.__call__, replica_step.add_part, replica_step.update]
    take_whole, add_part, update = (
        tf.function(method, jit_compile=True, autograph=False) if compiled else as_it_is(method)
        for method in methods
    )
    loss_of_step = as_it_is(replica_step.loss)
    shape = (config.train.batch_size, 2 * replica_step.outputs + 1)

    def take_step(batch: Batch, measure: tf.Tensor, source: DeviceBatches | None) -> StepResult:
        if config.train.accumulate == 1:
            result = strategy.run(partial(take_whole, source=source), args=(batch, measure))
        else:
            for part in tf.range(config.train.accumulate):
                strategy.run(partial(add_part, source=source), args=(batch, part))
            result = strategy.run(update, args=(measure,))
        return StepResult(*(strategy.experimental_local_results(value)[0] for value in result))

    @as_it_is
    def now() -> tf.Tensor:
        # Reading the clock is not deterministic: the wait is not known then, and counts as none.
        return tf.constant(0.0, tf.float64) if config.train.deterministic else tf.timestamp()

    @tf.function
    def loop(
        iterator: Iterator[Batch], steps: tf.Tensor, measure: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        losses, norm = tf.TensorArray(tf.float32, steps), tf.constant(0.0)
        scores = tf.TensorArray(tf.float32, steps, element_shape=shape)
        source = iterator if isinstance(iterator, DeviceBatches) else None
        finite, wait = tf.TensorArray(tf.bool, steps), tf.constant(0.0, tf.float64)
        for i in tf.range(steps):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            wait_began = now()
            with tf.control_dependencies([wait_began]):
                batch = next(iterator)
            with tf.control_dependencies(
                tf.nest.flatten(strategy.experimental_local_results(batch))
            ):
                wait += now() - wait_began
            result = take_step(batch, measure, source)
            losses = losses.write(i, loss_of_step(result.scores))
            finite = finite.write(i, result.finite)
            scores, norm = scores.write(i, result.scores), result.gradient_norm
            state.step.assign_add(1)
        return losses.stack(), finite.stack(), scores.stack(), wait, norm

    def run(iterator: Iterator[Batch], steps: int) -> LoopResult:
        began, parts = time.perf_counter(), []
        if steps > 1:
            parts.append(loop(iterator, tf.constant(steps - 1), tf.constant(False)))
        before = [tf.identity(v.value) for v in state.model.trainable_variables]
        parts.append(loop(iterator, tf.constant(1), tf.constant(True)))
        ratio = float(_update_ratio(before, state.model.trainable_variables))
        norm = float(parts[-1][4])
        losses, finite, scores = (
            np.concatenate([part[column].numpy() for part in parts]) for column in range(3)
        )
        wait = sum(float(part[3]) for part in parts)
        seconds = time.perf_counter() - began
        # The graph only knows the time of day, which may be set while the loop runs.
        wait = min(max(wait, 0.0), seconds)
        return LoopResult(losses, finite, norm, ratio, by_example(scores), seconds, wait)

    return run


def _update_ratio(before: list[tf.Tensor], variables: list[keras.Variable]) -> tf.Tensor:
    """Returns the norm of the change of all variables, divided by their norm before."""
    change = [after.value - old for after, old in zip(variables, before, strict=True)]
    return tf.linalg.global_norm(change) / tf.linalg.global_norm(before)


def _update_average(state: State, momentum: float) -> None:
    """Updates a replica's average, faster in the first steps so that the initial weights fade."""
    step = tf.cast(state.step + 1, tf.float32)
    keep = tf.minimum(momentum, (1 + step) / (10 + step))
    for average, variable in zip(state.averaged.variables, state.model.variables, strict=True):
        if average.dtype == "float32":
            average.assign(keep * average + (1 - keep) * variable)
