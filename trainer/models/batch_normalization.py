"""Batch normalisation over the global batch."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("trainer")
class BatchNormalization(keras.layers.BatchNormalization):
    """Normalises by mean and variance over all replicas, whose shares of the batch are equal.

    One sum over replicas forward and one backward, where Keras' `synchronized=True` makes three;
    each is a round trip between machines.
    """

    def call(
        self, inputs: tf.Tensor, training: bool = False, mask: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Normalises `inputs`; moments that are not finite never reach the moving averages.

        Half precision may recover from them, and they would stay for ever.
        """
        inputs = keras.ops.cast(inputs, "float32")
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            mean, variance = self._moments(inputs, mask)
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        outputs = keras.ops.batch_normalization(
            inputs,
            mean,
            variance,
            self.axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )
        return keras.ops.cast(outputs, self.compute_dtype)

    def _follow(self, average: keras.Variable, value: tf.Tensor) -> None:
        followed = average * self.momentum + value * (1.0 - self.momentum)
        average.assign(tf.where(tf.math.is_finite(value), followed, average))

    def _moments(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        del mask  # images have none
        mean, variance = tf.nn.moments(inputs, self._reduction_axes)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return mean, variance
        moments = tf.stack([mean, variance + tf.square(mean)]) / replica.num_replicas_in_sync
        mean, square = tf.unstack(replica.all_reduce(tf.distribute.ReduceOp.SUM, moments))
        return mean, tf.maximum(square - tf.square(mean), 0.0)
