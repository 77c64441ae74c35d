"""Everything that training changes: the network, its optimizer, the averaged network, the step."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import models
from trainer.models import replicable, siamese
from trainer.training import depth_rates, optimizer


@dataclass
class State:
    """The variables of a run.

    Attributes:
      step: int64 scalar, steps taken.
      model: the network that is trained.
      optimizer: its optimizer, built.
      averaged: the network whose variables are the moving average of the model's, batch
        statistics included; the model itself where there is no averaging.
      accumulated: each replica's sums of gradients and scores over a step's parts so far, zero
        between steps; empty where a step has one part.
    """

    step: tf.Variable
    model: keras.Model
    optimizer: keras.optimizers.Optimizer
    averaged: keras.Model
    accumulated: list[tf.Variable]

    def variables(self) -> dict[str, tf.Variable]:
        """Returns every variable by name, for the checkpoint."""
        groups = {"model": self.model}
        if self.averaged is not self.model:
            groups["averaged"] = self.averaged
        named = {f"{group}/{v.path}": v.value for group, m in groups.items() for v in m.variables}
        return {"step": self.step, **named, **optimizer.variables(self.optimizer)}

    @property
    def finite(self) -> bool:
        """Whether every variable of the network is finite."""
        return all(bool(tf.reduce_all(tf.math.is_finite(v.value))) for v in self.model.variables)

    @property
    def loss_scale(self) -> float:
        """The factor on the loss that keeps half precision gradients from vanishing."""
        return float(tf.convert_to_tensor(optimizer.loss_scale(self.optimizer)))

    @property
    def skipped_steps(self) -> int:
        """Steps that changed no weight, as a half precision gradient was not finite."""
        return int(self.step.numpy()) - int(self.optimizer.iterations.numpy())


def create_state(
    config: ConfigDict,
    total_steps: int,
    epoch_steps: int,
    *,
    outputs: int = 1,
    source: epath.PathLike | None = None,
) -> State:
    """Builds network and optimizer, to be called in the strategy's scope.

    Args:
      config: of the run.
      total_steps: of the run.
      epoch_steps: steps of one epoch.
      outputs: number of labels K.
      source: the file of one's own network, see `models.build`.
    """
    keras.mixed_precision.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    step = tf.Variable(
        0, trainable=False, dtype=tf.int64, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA
    )
    outputs = 1 if config.pretrain.method else outputs  # the loss takes the place of a logit
    model = models.build(config.model, config.data.image_size, outputs, source=source)
    if config.pretrain.method:
        model = siamese.network(model, config.pretrain)
    built_optimizer = optimizer.build(config, total_steps, epoch_steps)
    built_optimizer.build(model.trainable_variables)
    if depth_rates.are_used(config):
        depth_rates.set_rates(built_optimizer, model, config, steps=epoch_steps)
    averaged = model
    if config.train.ema:
        averaged = replicable.copied(model)
    accumulated = []
    if config.train.accumulate > 1:
        shapes = [v.shape for v in model.trainable_variables]
        shapes.append((config.train.batch_size, 2 * outputs + 1))
        accumulated = [_replica_variable(shape) for shape in shapes]
    return State(step, model, built_optimizer, averaged, accumulated)


def _replica_variable(shape: Sequence[int]) -> tf.Variable:
    """Returns a variable of zeros of which each replica has a copy of its own."""
    return tf.Variable(
        tf.zeros(shape),
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.SUM,
    )
