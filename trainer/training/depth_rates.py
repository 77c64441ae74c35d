"""Learning rates by depth: lower ones for early layers, and none for all but the head at first."""

import keras
import tensorflow as tf
from ml_collections import ConfigDict


class ByDepth:
    """Multiplies the learning rate of each variable; a mixin for an optimizer of Keras.

    An optimizer goes on to follow the gradients of a frozen variable, so that its first step
    afterwards has the size of any other.
    """

    factors: tuple[float, ...] = ()
    frozen_steps: tuple[int, ...] = ()

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one variable."""
        super().update_step(gradient, variable, learning_rate * self._factor(variable))  # type: ignore[misc]

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        for variable in variables:
            if self.weight_decay is not None and self._use_weight_decay(variable):  # type: ignore[attr-defined]
                share = self.weight_decay * self.learning_rate * self._factor(variable)  # type: ignore[attr-defined]
                variable.assign(variable - variable * tf.cast(share, variable.dtype))

    def _factor(self, variable: keras.Variable) -> tf.Tensor:
        index = self._get_variable_index(variable)  # type: ignore[attr-defined]
        frozen = tf.convert_to_tensor(self.iterations) < self.frozen_steps[index]  # type: ignore[attr-defined]
        return tf.where(frozen, 0.0, self.factors[index])


def are_used(config: ConfigDict) -> bool:
    """Returns whether the variables of a config's network learn at different rates."""
    return config.optimizer.layer_decay < 1 or config.train.freeze_epochs > 0


def set_rates(
    optimizer: keras.optimizers.Optimizer, model: keras.Model, config: ConfigDict, *, steps: int
) -> None:
    """Gives a `ByDepth` optimizer the rates of a network's variables.

    The rate of the first layer is `optimizer.layer_decay` times that of the last one, the head, and
    those between lie on a geometric series.

    Args:
      optimizer: with a loss scale or not.
      model: whose trainable variables it updates.
      config: of the run.
      steps: of an epoch.
    """
    layers = [layer for layer in model.layers if layer.trainable_variables]
    last = max(len(layers) - 1, 1)
    frozen = config.train.freeze_epochs * steps
    rates = {
        id(variable): (
            config.optimizer.layer_decay ** (1 - position / last),
            0 if layer is layers[-1] else frozen,
        )
        for position, layer in enumerate(layers)
        for variable in layer.trainable_variables
    }
    by_variable = [rates[id(variable)] for variable in model.trainable_variables]
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner.factors, inner.frozen_steps = map(tuple, zip(*by_variable, strict=True))
