"""The learning rate by step: warm-up, and what comes after it."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf
from keras.optimizers.schedules import LearningRateSchedule
from ml_collections import ConfigDict

# Of a cycle (Smith and Topin 2018), as in PyTorch's OneCycleLR.
RISE = 0.3  # share of the steps, where the config has no warm-up
FIRST = 1 / 25  # of the peak
LAST = FIRST / 1e4


def build(config: ConfigDict, total_steps: int, epoch_steps: int) -> LearningRateSchedule:
    """Returns the rate by step: linear warm-up to the peak, then what `schedule.name` says.

    Args:
      config: of the run.
      total_steps: of the run.
      epoch_steps: steps of one epoch.
    """
    name, peak = config.schedule.name, config.optimizer.learning_rate
    warmup = min(round(config.schedule.warmup_epochs * epoch_steps), total_steps - 1)
    if name == "one_cycle":
        return _OfStep(lambda step: _one_cycle(step, peak, total_steps, warmup))
    flat = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
        decay_steps=total_steps - warmup,
        alpha=0.0 if name == "cosine" else 1.0,
    )
    if name == "plateau":
        return Plateau(flat)
    if name == "exponential":
        by_step = math.log(config.schedule.decay) / epoch_steps
        return _OfStep(lambda step: flat(step) * tf.exp(by_step * tf.nn.relu(step - warmup)))
    return flat


class Plateau(LearningRateSchedule):
    """A schedule times a factor, which is set between epochs; see `set_factor`."""

    def __init__(self, schedule: LearningRateSchedule):
        self._schedule = schedule
        self.factor = tf.Variable(
            1.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
        )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the rate of a step."""
        return self._schedule(step) * self.factor


def set_factor(optimizer: keras.optimizers.Optimizer, factor: float) -> None:
    """Sets the factor of an optimizer's schedule, a `Plateau`."""
    schedule = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
    schedule.factor.assign(factor)


class _OfStep(LearningRateSchedule):
    """A rate that a function of the step gives, both float32."""

    def __init__(self, rate: Callable[[tf.Tensor], tf.Tensor]):
        self._rate = rate

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self._rate(tf.cast(step, tf.float32))


def _one_cycle(step: tf.Tensor, peak: float, total_steps: int, warmup: int) -> tf.Tensor:
    """Returns half a cosine up to the peak, and then one down to nearly 0, by the last step."""
    top = warmup or max(1, round(RISE * total_steps))
    rise = _half_cosine(step / top, peak * FIRST, peak)
    fall = _half_cosine((step - top) / max(1, total_steps - 1 - top), peak, peak * LAST)
    return tf.where(step < top, rise, fall)


def _half_cosine(share: tf.Tensor, begin: float, end: float) -> tf.Tensor:
    """Returns what goes from `begin`, at a share of 0, to `end`, at 1."""
    return end + (begin - end) * (1 + tf.cos(math.pi * tf.clip_by_value(share, 0.0, 1.0))) / 2
