"""Batch normalisation over the global batch."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("trainer")
class BatchNormalization(keras.layers.BatchNormalization):
    """Normalises by mean and variance over all replicas, whose shares of the batch are equal.

    One sum over replicas forward and one backward, where Keras' `synchronized=True` makes three;
    each is a round trip between machines.
    """

    def _moments(self, inputs: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        del mask  # images have none
        mean, variance = tf.nn.moments(inputs, self._reduction_axes)
        replica = tf.distribute.get_replica_context()
        if replica is None or replica.num_replicas_in_sync == 1:
            return mean, variance
        moments = tf.stack([mean, variance + tf.square(mean)]) / replica.num_replicas_in_sync
        mean, square = tf.unstack(replica.all_reduce(tf.distribute.ReduceOp.SUM, moments))
        return mean, tf.maximum(square - tf.square(mean), 0.0)
