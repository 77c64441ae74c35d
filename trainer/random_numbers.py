"""Stateless random numbers: they depend on (seed, step, row), never on the replica or the host.

They are drawn for the whole global batch and indexed by the example's row in it, so that 1, 2 or 8
replicas see the same numbers, and a resumed run repeats those of the first.
"""

from collections.abc import Sequence

import tensorflow as tf

# Philox is named, since the default algorithm may differ between a compiled and an eager op.
ALGORITHM = "philox"


def key(seed: int, step: tf.Tensor) -> tf.Tensor:
    """Returns the key of one training step: [2] int32."""
    return tf.stack([tf.constant(seed, tf.int32), tf.cast(step, tf.int32)])


def uniform(
    key: tf.Tensor,
    salt: int,
    rows: tf.Tensor,
    *,
    global_batch: int,
    shape: Sequence[int] = (),
) -> tf.Tensor:
    """Uniform draws in [0, 1): [b, *shape] float32, one for each of `rows`.

    Args:
      key: [2] int32 from `key()`.
      salt: tells apart the draws made under one key.
      rows: [b] int32, each example's row in the global batch.
      global_batch: number of rows in the global batch.
      shape: shape of one example's draw.
    """
    seed = tf.random.experimental.stateless_fold_in(key, salt, alg=ALGORITHM)
    # The integers agree between eager and XLA, the floats of stateless_uniform do not (2.21).
    bits = tf.random.stateless_uniform(
        (global_batch, *shape), seed, minval=None, maxval=None, dtype=tf.uint32, alg=ALGORITHM
    )
    return tf.cast(tf.bitwise.right_shift(tf.gather(bits, rows), 8), tf.float32) * 2.0**-24
