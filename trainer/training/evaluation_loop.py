"""One evaluation step per replica, and the loop that runs it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import keras
import tensorflow as tf

from trainer.data.device_cache import DeviceBatches
from trainer.metrics.scores import Scores
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.training.global_batch import (
    Batch,
    by_example,
    place_rows,
    scores_of,
    sum_over_replicas,
)

View = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # [b, S, S, 1] in 0..1 and rows [b] -> images


def unchanged(images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the images as they are: the view that a network is evaluated on."""
    del rows
    return images


def evaluation_loop(
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    global_batch: int,
    views: Sequence[View] = (unchanged,),
) -> Callable[[Iterator[Batch], int], Scores]:
    """Returns a function that scores the examples of n batches of an iterator.

    Args:
      strategy: of the replicas.
      model: the network.
      global_batch: examples of a batch.
      views: of an image, of whose outputs the mean is taken.
    """
    channels, columns = model.input_shape[-1], 2 * model.output_shape[-1] + 1

    def evaluation_step(batch: Batch, source: DeviceBatches | None) -> tf.Tensor:
        batch = source.look_up(batch) if source else batch
        images, outputs = images_to_float(batch["image"]), []
        for view in views:
            seen = repeat_channels(view(images, batch["row"]), channels)
            outputs.append(tf.cast(model(seen, training=False), tf.float32))
        scores = scores_of(tf.add_n(outputs) / len(outputs) if outputs[1:] else outputs[0], batch)
        (scores,) = sum_over_replicas([place_rows(scores, batch["row"], global_batch)])
        return scores

    @tf.function
    def loop(iterator: Iterator[Batch], steps: tf.Tensor) -> tf.Tensor:
        scores = tf.TensorArray(tf.float32, steps, element_shape=(global_batch, columns))
        source = iterator if isinstance(iterator, DeviceBatches) else None
        step_on = partial(evaluation_step, source=source)
        for i in tf.range(steps):
            step_scores = strategy.run(step_on, args=(next(iterator),))
            scores = scores.write(i, strategy.experimental_local_results(step_scores)[0])
        return scores.stack()

    def run(iterator: Iterator[Batch], steps: int) -> Scores:
        return by_example(loop(iterator, tf.constant(steps)).numpy())

    return run
