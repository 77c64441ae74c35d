"""One training step and one evaluation step per replica, and the loops that run them.

This is all that the accelerator runs: cast, augment, model, loss, gradient, all-reduce, update.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import augment, draws, models
from trainer.models import dropout

Batch = dict[str, tf.Tensor]


@dataclass
class State:
    """Everything that training changes.

    Attributes:
      step: int64 scalar, steps taken.
      model: the network that is trained.
      optimizer: its optimizer, built.
      averaged: the network whose variables are the moving average of the model's, batch
        statistics included; the model itself where there is no averaging.
    """

    step: tf.Variable
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    averaged: keras.Model

    def variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by name, for the checkpoint."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        if self.averaged is not self.model:
            groups["averaged"] = self.averaged.variables
        named = {f"{group}/{v.path}": v.value for group, vs in groups.items() for v in vs}
        return {"step": self.step, **named}


class Scores(NamedTuple):
    """What the network said of examples, on the host: [n] float32 each."""

    logits: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def seen(self) -> "Scores":
        """Returns the examples that were not there to fill up a batch."""
        real = self.weights > 0
        return Scores(self.logits[real], self.labels[real], self.weights[real])


class LoopResult(NamedTuple):
    """What one loop returns to the host.

    Attributes:
      losses: [steps] float32, the loss of each step.
      scores: of every example of the loop, [steps * global batch].
      wait_seconds: time spent waiting for input.
    """

    losses: np.ndarray
    scores: Scores
    wait_seconds: float


def create_state(config: ConfigDict, total_steps: int, epoch_steps: int) -> State:
    """Builds network and optimizer, to be called in the strategy's scope."""
    keras.mixed_precision.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    step = tf.Variable(
        0, trainable=False, dtype=tf.int64, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
    model = models.build(config.model, config.data.image_size)
    optimizer = _optimizer(config, total_steps, epoch_steps)
    optimizer.build(model.trainable_variables)
    averaged = model
    if config.train.ema:
        averaged = keras.models.clone_model(model)
        averaged.set_weights(model.get_weights())
    return State(step, model, optimizer, averaged)


def images_to_float(images: tf.Tensor) -> tf.Tensor:
    """Casts [b, S, S, 1] uint8 to float32 in 0..1."""
    return tf.cast(images, tf.float32) / 255.0


def repeat_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Repeats the grey channel: [b, S, S, 1] -> [b, S, S, channels]."""
    return tf.repeat(images, channels, axis=-1) if channels > 1 else images


def train_loop(
    strategy: tf.distribute.Strategy,
    state: State,
    config: ConfigDict,
    class_weights: tuple[float, float] = (1.0, 1.0),
) -> Callable[[Iterator[Batch], int], LoopResult]:
    """Returns the function that takes n training steps on the batches of an iterator."""
    global_batch = config.train.batch_size
    augmentation = augment.build(config.augment, config.augment.jit_compile)
    loss_scaled = isinstance(state.optimizer, keras.optimizers.LossScaleOptimizer)

    def train_step(batch: Batch) -> tuple[tf.Tensor, ...]:
        key = draws.key(config.seed, state.step)
        images = images_to_float(batch["image"])
        images = augmentation(images, key, batch["row"], global_batch)
        images = repeat_channels(images, config.model.channels)
        with tf.GradientTape() as tape:
            with dropout.drawing_from(key, batch["row"], global_batch):
                logits = state.model(images, training=True)
            loss = loss_of(
                logits, batch["label"], batch["weight"], config.loss.label_smoothing, class_weights
            )
            # The optimizer sums gradients over replicas, so each divides by the global batch.
            loss = loss / global_batch
            scaled_loss = state.optimizer.scale_loss(loss)
        variables = state.model.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        if config.optimizer.clip_norm:
            limit = config.optimizer.clip_norm
            if loss_scaled:
                limit *= state.optimizer.dynamic_scale
            gradients = _clip_global(gradients, limit)
        state.optimizer.apply(gradients, variables)
        return loss, logits, batch["label"], batch["weight"]

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        losses = tf.TensorArray(tf.float32, steps)
        scores = tf.TensorArray(tf.float32, steps, element_shape=(3, global_batch))
        wait = tf.constant(0.0, tf.float64)
        for i in tf.range(steps):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            asked = tf.timestamp()
            with tf.control_dependencies([asked]):
                batch = next(iterator)
            with tf.control_dependencies(
                tf.nest.flatten(strategy.experimental_local_results(batch))
            ):
                wait += tf.timestamp() - asked
            loss, *seen = strategy.run(train_step, args=(batch,))
            losses = losses.write(i, strategy.reduce("SUM", loss, axis=None))
            scores = scores.write(i, _gather(strategy, seen))
            state.step.assign_add(1)
            if config.train.ema:
                _update_average(state, config.train.ema)
        return losses.stack(), scores.stack(), wait

    def run(iterator: Iterator[Batch], steps: int) -> LoopResult:
        losses, scores, wait = loop(iterator, tf.constant(steps))
        return LoopResult(losses.numpy(), _to_host(scores), float(wait))

    return run


def evaluation_loop(
    strategy: tf.distribute.Strategy, model: keras.Model, global_batch: int
) -> Callable[[Iterator[Batch], int], Scores]:
    """Returns the function that scores the examples of n batches of an iterator."""
    channels = model.input_shape[-1]

    def evaluation_step(batch: Batch) -> tuple[tf.Tensor, ...]:
        images = repeat_channels(images_to_float(batch["image"]), channels)
        return model(images, training=False), batch["label"], batch["weight"]

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor) -> tf.Tensor:
        scores = tf.TensorArray(tf.float32, steps, element_shape=(3, global_batch))
        for i in tf.range(steps):
            seen = strategy.run(evaluation_step, args=(next(iterator),))
            scores = scores.write(i, _gather(strategy, seen))
        return scores.stack()

    def run(iterator: Iterator[Batch], steps: int) -> Scores:
        return _to_host(loop(iterator, tf.constant(steps)))

    return run


def loss_of(
    logits: tf.Tensor,
    labels: tf.Tensor,
    weights: tf.Tensor,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, float] = (1.0, 1.0),
) -> tf.Tensor:
    """Returns the sum over examples of the weighted binary cross-entropy, a float32 scalar.

    Args:
      logits: [b, 1] float32.
      labels: [b, 1] float32, 0 or 1.
      weights: [b] float32.
      label_smoothing: share s of the label spread over both classes: 1 becomes 1 - s / 2.
      class_weights: of class 0 and of class 1.
    """
    smooth = labels * (1 - label_smoothing) + label_smoothing / 2
    losses = tf.nn.sigmoid_cross_entropy_with_logits(smooth, tf.cast(logits, tf.float32))
    by_class = tf.where(labels > 0.5, class_weights[1], class_weights[0])
    return tf.reduce_sum(losses * by_class * weights[:, None])


def _optimizer(
    config: ConfigDict, total_steps: int, epoch_steps: int
) -> keras.optimizers.Optimizer:
    kinds = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": lambda **fields: keras.optimizers.SGD(momentum=0.9, nesterov=True, **fields),
    }
    name, decay = config.optimizer.name, config.optimizer.weight_decay
    optimizer = kinds[name](
        learning_rate=learning_rate(config, total_steps, epoch_steps),
        weight_decay=decay if decay or name == "adamw" else None,
        name=name,  # else Keras counts the optimizers of the process into the checkpoint's names
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


def learning_rate(
    config: ConfigDict, total_steps: int, epoch_steps: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the rate by step: linear warm-up, then constant or a half cosine down to 0."""
    peak = config.optimizer.learning_rate
    warmup = min(round(config.schedule.warmup_epochs * epoch_steps), total_steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
        decay_steps=total_steps - warmup,
        alpha=1.0 if config.schedule.name == "constant" else 0.0,
    )


def _clip_global(gradients: list[tf.Tensor], limit: float | tf.Tensor) -> list[tf.Tensor]:
    """Clips by the norm of the gradient summed over replicas, not of each replica's share."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync > 1:
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    clipped, _ = tf.clip_by_global_norm(gradients, limit)
    return [g / replica.num_replicas_in_sync for g in clipped]  # the optimizer sums them again


def _update_average(state: State, momentum: float) -> None:
    """Moves the average; early on it follows faster: the first weights soon count little."""
    step = tf.cast(state.step, tf.float32)
    keep = tf.minimum(momentum, (1 + step) / (10 + step))
    for average, variable in zip(state.averaged.variables, state.model.variables, strict=True):
        if average.dtype == "float32":
            average.assign(keep * average + (1 - keep) * variable)


def _gather(strategy: tf.distribute.Strategy, seen: list[tf.Tensor]) -> tf.Tensor:
    """Returns logits, labels and weights of the global batch, in the order of its rows: [3, B]."""
    columns = [strategy.gather(part, axis=0) for part in seen]
    return tf.stack([tf.reshape(tf.cast(column, tf.float32), [-1]) for column in columns])


def _to_host(scores: tf.Tensor) -> Scores:
    return Scores(*(scores.numpy().transpose(1, 0, 2).reshape(3, -1)))
