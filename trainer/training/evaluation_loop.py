"""One evaluation step per replica, and the loop that runs it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from trainer.data.device_cache import DeviceBatches
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.models.views import answer
from trainer.training.global_batch import (
    Batch,
    place_rows,
    scores_of,
    sum_over_replicas,
)

View = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # [b, S, S, 1] in 0..1 and rows [b] -> images
# likewise, and which batch of the split it is -> outputs [b, E] float32
Network = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Loop = Callable[[Iterator[Batch], int, int], np.ndarray]  # batches, how many, those before them


def unchanged(images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the images as they are: the view that a network is evaluated on."""
    del rows
    return images


def evaluation_loop(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    global_batch: int,
    views: Sequence[View] = (unchanged,),
    *,
    answer_views: int = 1,
) -> Loop:
    """Returns a function that scores the examples of n batches of an iterator.

    Args:
      strategy: of the replicas.
      model: the network.
      global_batch: examples of a batch.
      views: of an image, of whose outputs the mean is taken.
      answer_views: `model.views`, by which the network answers for each of these.

    Returns:
      what gives [n * global batch, 2 K + 1] float32, as in `Scores.from_columns`.
    """
    channels = model.input_shape[-1]

    def network(images: tf.Tensor, rows: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        del number
        outputs = []
        for view in views:
            seen = repeat_channels(view(images, rows), channels)
            outputs.append(answer(model, seen, answer_views))
        return tf.add_n(outputs) / len(outputs) if outputs[1:] else outputs[0]

    return columns_loop(strategy, network, global_batch, 2 * model.output_shape[-1] + 1)


def columns_loop(
    strategy: tf.distribute.Strategy, network: Network, global_batch: int, columns: int
) -> Loop:
    """Returns a function that gives outputs, labels and weights of n batches of an iterator.

    Args:
      strategy: of the replicas.
      network: from images, their rows and the number of their batch to outputs.
      global_batch: examples of a batch.
      columns: number of outputs and labels, and 1.

    Returns:
      what gives [n * global batch, columns] float32.
    """

    @tf.autograph.experimental.do_not_convert
    def evaluation_step(batch: Batch, number: tf.Tensor, source: DeviceBatches | None) -> tf.Tensor:
        batch = source.look_up(batch) if source else batch
        outputs = network(images_to_float(batch["image"]), batch["row"], number)
        scores = scores_of(outputs, batch)
        (scores,) = sum_over_replicas([place_rows(scores, batch["row"], global_batch)])
        return scores

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor, done: tf.Tensor) -> tf.Tensor:
        scores = tf.TensorArray(tf.float32, steps, element_shape=(global_batch, columns))
        source = iterator if isinstance(iterator, DeviceBatches) else None
        step_on = partial(evaluation_step, source=source)
        for i in tf.range(steps):
            step_scores = strategy.run(step_on, args=(next(iterator), done + i))
            scores = scores.write(i, strategy.experimental_local_results(step_scores)[0])
        return scores.stack()

    def run(iterator: Iterator[Batch], steps: int, done: int) -> np.ndarray:
        return loop(iterator, tf.constant(steps), tf.constant(done)).numpy().reshape(-1, columns)

    return run
