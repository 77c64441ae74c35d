"""Decoded images on each device: a step finds its batch there, and the host sends nothing.

Beside pixels and labels a device has the order of the passes at hand and the number of the step,
and computes from them which examples are its batch's. These are the batches of
`trainer.data.pipeline`, bit for bit.
"""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from trainer.data import pipeline


class DevicePixels:
    """The decoded images and labels of a split, with a copy on each device of this worker.

    Args:
      images: [n, S, S, 1] uint8, in memory as `pipeline.on_host` takes it.
      labels: [n, K] float32, likewise.
      strategy: of the replicas.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, strategy: tf.distribute.Strategy):
        self.size, self.image_shape, self.strategy = len(images), images.shape[1:], strategy
        # A row for each image, which is copied as a whole.
        rows = images.reshape(self.size, -1)
        self.images, self.labels = (
            _Copies(strategy, pipeline.on_host(array)) for array in (rows, labels)
        )


class DeviceBatches(Iterator[dict[str, tf.Tensor]]):
    """Iterates over batches without their pixels, from `start_step` on.

    An element of it is the rows of the global batch that each replica has, `{"row": [b] int32}`;
    `look_up` turns them into the whole batch, as part of the replica's program.

    Args:
      pixels: where the batches are from.
      global_batch: rows of a batch.
      order: number of a pass, int64 -> [n] int64, the records that it visits.
      size: of a pass, n.
      examples: how many all batches hold; what follows them fills the last one up, at weight 0.
      start_step: number of the first batch.
      parts: in which a step is taken, see `pipeline.train_batches`.
    """

    def __init__(
        self,
        pixels: DevicePixels,
        global_batch: int,
        *,
        order: Callable[[tf.Tensor], tf.Tensor],
        size: int,
        examples: int,
        start_step: int = 0,
        parts: int = 1,
    ):
        self._pixels, self._global_batch, self._order_of = pixels, global_batch, order
        self._size, self._examples = size, examples
        strategy = pixels.strategy
        rows = pipeline.replica_rows(global_batch, strategy.num_replicas_in_sync, parts)
        self._rows = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(rows[context.replica_id_in_sync_group])
        )
        self._passes = 1 + (size + global_batch - 2) // size  # that a batch can reach into
        with tf.device("CPU:0"):
            self._order, self._step = (
                _Copies(strategy, tf.zeros(shape, tf.int64))
                for shape in ([self._passes * size], [])
            )
            self._next_step, self._pass = (
                tf.Variable(0, trainable=False, dtype=tf.int64) for _ in range(2)
            )
        self.restart(start_step)

    def restart(self, start_step: int = 0) -> None:
        """Goes on with the batch of a step."""
        self._next_step.assign(start_step)
        self._pass.assign(-1)  # whose order is on the devices: none
        for copy in self._step.copies:
            copy.assign(start_step - 1)

    def __next__(self) -> dict[str, tf.Tensor]:
        with tf.device("CPU:0"):
            number = self._next_step * self._global_batch // self._size
            tf.cond(number == self._pass, lambda: number, lambda: self._begin(number))
            self._next_step.assign_add(1)
        for copy in self._step.copies:
            copy.assign_add(1)
        return {"row": self._rows}

    def look_up(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the batch of some rows, see `trainer.data.pipeline`; in a replica alone."""
        rows, step = batch["row"], self._step.here.read_value()
        first = step * self._global_batch % self._size
        numbers = tf.gather(self._order.here, first + tf.cast(rows, tf.int64))
        images = tf.gather(self._pixels.images.here, numbers)
        return {
            "image": tf.reshape(images, (-1, *self._pixels.image_shape)),
            "label": tf.gather(self._pixels.labels.here, numbers),
            "row": rows,
            "weight": pipeline.example_weights(
                step, rows, examples=self._examples, global_batch=self._global_batch
            ),
        }

    def _begin(self, number: tf.Tensor) -> tf.Tensor:
        """Sends the devices the order of a pass and of those that its last batch reaches into."""
        order = tf.concat([self._order_of(number + later) for later in range(self._passes)], 0)
        for copy in self._order.copies:
            copy.assign(order)
        return self._pass.assign(number)


def train_batches(
    pixels: DevicePixels,
    global_batch: int,
    *,
    seed: int,
    epochs: int,
    start_step: int = 0,
    parts: int = 1,
) -> DeviceBatches:
    """Returns the batches of `pipeline.train_batches`."""
    return DeviceBatches(
        pixels,
        global_batch,
        order=lambda epoch: pipeline.epoch_order(seed, epoch, pixels.size),
        size=pixels.size,
        examples=epochs * pixels.size,
        start_step=start_step,
        parts=parts,
    )


def evaluation_batches(
    pixels: DevicePixels, global_batch: int, *, limit: np.ndarray | None = None
) -> DeviceBatches:
    """Returns the batches of `pipeline.evaluation_batches`."""
    visited = np.arange(pixels.size) if limit is None else np.asarray(limit, np.int64)
    return DeviceBatches(
        pixels,
        global_batch,
        order=lambda number: tf.where(number == 0, visited, 0),
        size=len(visited),
        examples=len(visited),
    )


class _Copies:
    """A variable of which each device of this worker has a copy."""

    def __init__(self, strategy: tf.distribute.Strategy, value: tf.Tensor):
        self.copies = list[tf.Variable]()
        if isinstance(strategy, tf.distribute.TPUStrategy):
            with strategy.scope():
                self.copies.append(tf.Variable(value, trainable=False))
            return
        # In its scope, a strategy of several workers would have the chief send it to the others.
        for device in strategy.extended.worker_devices:
            with tf.device(device):
                self.copies.append(tf.Variable(value, trainable=False))

    @property
    def here(self) -> tf.Variable:
        """The copy of the replica that asks."""
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return self.copies[(replica or 0) % len(self.copies)]
