"""A training step without labels: each of two views of an image predicts the other."""

import tensorflow as tf
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment.augmentation import Augmentation
from trainer.data.device_cache import DeviceBatches
from trainer.models import keyed_layer
from trainer.models.inputs import images_to_float, repeat_channels
from trainer.training import optimizer
from trainer.training.global_batch import Batch, place_rows
from trainer.training.step import ReplicaStep

UNKNOWN = -1.0


def step_class(config: ConfigDict) -> type[ReplicaStep]:
    """Returns the kind of steps that a config's network learns by."""
    return SiameseStep if config.pretrain.method else ReplicaStep


class SiameseStep(ReplicaStep):
    """A step of SimSiam (Chen and He 2021), or of BYOL (Grill et al. 2020).

    Both views go through the network as one batch, whose statistics normalise it. In SimSiam the
    projection that is to be predicted is the network's own, through which no gradient goes; in
    BYOL that of the averaged network.

    In the scores of an example, its loss takes the place of the logit, and its label is unknown.
    """

    @property
    def outputs(self) -> int:
        """Columns of the scores that are outputs: the loss."""
        return 1

    def loss(self, scores: tf.Tensor) -> tf.Tensor:
        """Returns what examples with these scores contribute to the step's loss: a scalar."""
        losses, _, weights = tf.unstack(scores, axis=1)
        return tf.reduce_sum(losses * weights) / self._config.train.batch_size

    def _gradients_and_scores(self, batch: Batch, source: DeviceBatches | None) -> list[tf.Tensor]:
        state, config = self._state, self._config
        batch = source.look_up(batch) if source else batch
        global_batch = config.train.batch_size
        key = random_numbers.key(config.seed, state.step)
        images, rows = two_views(
            self._augmentation,
            images_to_float(batch["image"]),
            key,
            batch["row"],
            global_batch=global_batch,
        )
        images = repeat_channels(images, config.model.channels)
        with tf.GradientTape() as tape, keyed_layer.drawing_from(key, rows, 2 * global_batch):
            _, projections, predictions = state.model(images, training=True)
            if config.pretrain.method == "byol":
                _, projections, _ = state.averaged(images, training=True)
            losses = losses_of(projections, predictions)
            unknown = tf.fill(tf.shape(losses), UNKNOWN)
            scores = tf.stack([losses, unknown, batch["weight"]], axis=1)
            scaled_loss = self.loss(scores) * optimizer.loss_scale(state.optimizer)
        gradients = tape.gradient(scaled_loss, state.model.trainable_variables)
        return [*gradients, place_rows(scores, batch["row"], global_batch)]


def two_views(
    augmentation: Augmentation,
    images: tf.Tensor,
    key: tf.Tensor,
    rows: tf.Tensor,
    *,
    global_batch: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns two random views of each image, all first ones first, and their rows.

    The second view of a row is drawn as that of the row `global_batch` further down.

    Args:
      augmentation: what makes a view.
      images: [b, S, S, 1] float32 in 0..1.
      key: [2] int32 of the step.
      rows: [b] int32 of the global batch.
      global_batch: its number of rows.
    """
    rows = tf.concat([rows, rows + global_batch], 0)
    images = tf.concat([images, images], 0)
    return augmentation(images, key, rows, global_batch=2 * global_batch), rows


def losses_of(projections: tf.Tensor, predictions: tf.Tensor) -> tf.Tensor:
    """Returns how far predicted and actual projections are apart, of each image: [b] float32.

    1 less their cosine, which is 0 at best: equation 2 of Chen and He (2021), and 1. No gradient
    goes through the projections.

    Args:
      projections: [2 b, d], of the first views, then of the second ones.
      predictions: likewise, from the same view.
    """
    first, second = tf.split(_unit(tf.stop_gradient(projections)), 2)
    from_first, from_second = tf.split(_unit(predictions), 2)
    return 1 - tf.reduce_sum(from_first * second + from_second * first, 1) / 2


def _unit(vectors: tf.Tensor) -> tf.Tensor:
    return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=1)
