"""The optimizer: its kinds, gradient clipping and loss scaling."""

import keras
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.training import depth_rates, learning_rate

KINDS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def build(config: ConfigDict, total_steps: int, epoch_steps: int) -> keras.optimizers.Optimizer:
    """Returns the optimizer, which expects gradients that are already summed over replicas.

    Keras would sum them in `apply`, after its clipping and its test for overflow, which then see
    one replica's share; the step sums them first.
    """
    name, decay = config.optimizer.name, config.optimizer.weight_decay
    mixins = (depth_rates.ByDepth,) if depth_rates.are_used(config) else ()
    optimizer_class = type(KINDS[name].__name__, (*mixins, _AlreadySummed, KINDS[name]), {})
    optimizer = optimizer_class(
        learning_rate=learning_rate.build(config, total_steps, epoch_steps),
        weight_decay=decay if decay or name == "adamw" else None,
        name=name,  # else Keras counts the optimizers of the process into the checkpoint's names
        **({"momentum": 0.9, "nesterov": True} if name == "sgd" else {}),
    )
    if decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if config.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


def variables(optimizer: keras.optimizers.Optimizer) -> dict[str, tf.Variable]:
    """Returns the optimizer's variables by name, those of the loss scale as `loss_scale/...`."""
    inner = getattr(optimizer, "inner_optimizer", None)
    if inner is None:
        return {f"optimizer/{v.path}": v.value for v in optimizer.variables}
    scale = {"dynamic_scale": optimizer.dynamic_scale, "finite_steps": optimizer.step_counter}
    return variables(inner) | {f"loss_scale/{name}": v.value for name, v in scale.items()}


def loss_scale(optimizer: keras.optimizers.Optimizer) -> tf.Variable | float:
    """Returns the factor on the loss that keeps half precision gradients from vanishing."""
    scale = getattr(optimizer, "dynamic_scale", None)
    return 1.0 if scale is None else scale.value


def remedy(precision: str) -> str:
    """Returns what to do where loss, gradient or output are not finite, as a sentence."""
    milder = "Lower optimizer.learning_rate or set optimizer.clip_norm=1, in another --workdir"
    if precision == "mixed_float16":
        milder += ", or go on in this one with --config.precision=float32"
    return f"{milder}."


def all_finite(gradients: list[tf.Tensor]) -> tf.Tensor:
    """Returns whether every element is finite, a bool scalar."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])


def zero_unless(
    finite: tf.Tensor, gradients: list[tf.Tensor], optimizer: keras.optimizers.Optimizer
) -> list[tf.Tensor]:
    """Returns the gradients, or zeros in their place unless `finite`.

    An optimizer that scales the loss gets them as they are: it skips the step and tries a smaller
    scale.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return gradients
    zeros = lambda: [tf.zeros_like(gradient) for gradient in gradients]  # noqa: E731
    return tf.cond(finite, lambda: gradients, zeros)


def clip(
    gradients: list[tf.Tensor], norm: float, optimizer: keras.optimizers.Optimizer
) -> list[tf.Tensor]:
    """Scales the gradients of the scaled loss so that their global norm is at most `norm`."""
    if not norm:
        return gradients
    clipped, _ = tf.clip_by_global_norm(gradients, norm * loss_scale(optimizer))
    return clipped


def global_norm(gradients: list[tf.Tensor], optimizer: keras.optimizers.Optimizer) -> tf.Tensor:
    """Returns the global norm of the gradients of the loss, without the loss scale."""
    return tf.linalg.global_norm(gradients) / loss_scale(optimizer)


class _AlreadySummed:
    """Skips the sum over replicas with which Keras applies gradients."""

    def _all_reduce_sum_gradients(self, grads_and_vars: list) -> list:
        return grads_and_vars
