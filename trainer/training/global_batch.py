"""The global batch: the rows of all replicas, and sums over these."""

import numpy as np
import tensorflow as tf

from trainer.metrics.scores import Scores

Batch = dict[str, tf.Tensor]


def sum_over_replicas(values: list[tf.Tensor]) -> list[tf.Tensor]:
    """Returns the sum of each value over the replicas: one round trip for all of them."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return values
    flat = tf.concat([tf.reshape(value, [-1]) for value in values], 0)
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, flat)
    parts = tf.split(total, [value.shape.num_elements() for value in values])
    return [tf.reshape(p, v.shape) for p, v in zip(parts, values, strict=True)]


def scores_of(logits: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Returns logits, labels and weight of each example: [b, 2 K + 1] float32."""
    return tf.concat([tf.cast(logits, tf.float32), batch["label"], batch["weight"][:, None]], 1)


def place_rows(scores: tf.Tensor, rows: tf.Tensor, global_batch: int) -> tf.Tensor:
    """Returns the scores at their rows of the global batch, 0 elsewhere: [B, 2 K + 1]."""
    return tf.scatter_nd(rows[:, None], scores, (global_batch, scores.shape[1]))


def by_example(scores: np.ndarray) -> Scores:
    """Returns the scores of [steps, B, 2 K + 1]."""
    return Scores.from_columns(scores.reshape(-1, scores.shape[-1]))
