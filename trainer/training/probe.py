"""What a network has learnt without labels: its loss, its spread, and how near its features are.

Labels, where there are any, serve this measurement alone: each image of a split gets those of the
training images whose features are most like its own.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict
from scipy.special import logit

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.data import data_split, pipeline
from trainer.data.device_cache import DevicePixels
from trainer.metrics import classification
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.models.inputs import repeat_channels
from trainer.training import optimizer
from trainer.training.evaluation_loop import columns_loop
from trainer.training.evaluator import Process, SplitPass
from trainer.training.siamese_step import losses_of, two_views

BANK = 2048  # training images that are compared with
NEIGHBOURS = 20
TEMPERATURE = 0.07  # of their weights exp(cosine / temperature), as in Wu et al. (2018)
LEAST_SHARE = 1e-3  # of positive neighbours, and of negative ones
METRICS = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")


class Probed(NamedTuple):
    """What was measured of n images.

    Attributes:
      losses: [n] float32, of two fixed views of each.
      projections: [n, d] float32, of the images as they are.
      scores: the log-odds of each label, by the nearest training images.
    """

    losses: np.ndarray
    projections: np.ndarray
    scores: Scores

    @property
    def outputs(self) -> IndependentLabels:
        """What the labels are."""
        return self.scores.outputs

    @property
    def logits(self) -> np.ndarray:
        """The log-odds, [n, K] float32."""
        return self.scores.logits

    def take(self, which: np.ndarray) -> "Probed":
        """Returns the images that an index of NumPy names."""
        return Probed(self.losses[which], self.projections[which], self.scores.take(which))


def measure(found: Probed | Scores, labels: Sequence[str]) -> dict[str, Any]:
    """Returns the metrics of `classification.measure_all`, the loss that of the views.

    Beside them, `spread` is the standard deviation of the projections on the unit sphere, as a
    share of that of independent directions: 0 where all images have become one point.

    Args:
      found: what the probe returned of validation, or the scores of training steps, whose loss
        alone is known.
      labels: their names.
    """
    if isinstance(found, Scores):
        losses = found.logits[:, 0]
        return dict.fromkeys(METRICS) | {"loss": float(losses.mean()) if losses.size else None}
    nothing: Mapping[str, Any] = dict.fromkeys(METRICS)
    measured = classification.measure_all(found.scores, labels) if labels else nothing
    loss, points = float(found.losses.mean()), _unit(found.projections)
    spread = float(points.std(axis=0).mean() * np.sqrt(points.shape[1]))
    return {**measured, "loss": loss, "spread": spread}


class Probe:
    """Measures a siamese network on splits.

    Args:
      process: where it runs, and what ends it.
      model: the network, see `siamese.network`.
      config: of the run.
      bank: the training split and its pixels.
      outputs: what the labels are.
    """

    def __init__(
        self,
        process: Process,
        model: keras.Model,
        *,
        config: ConfigDict,
        bank: tuple[data_split.Split, pipeline.Pixels | DevicePixels],
        outputs: IndependentLabels = INDEPENDENT,
    ):
        self._config, self._bank, self._outputs = config, bank, outputs
        self._batch = config.train.batch_size // config.train.accumulate
        strategy = process.replicas.strategy
        on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
        augment = augmentation.of_run(config, on_tpu=on_tpu)
        channels, labels = config.model.channels, len(bank[0].labels)
        features, projection, _ = (output.shape[-1] for output in model.outputs)
        self._sizes = features, projection, labels

        def seen(images: tf.Tensor, rows: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            del rows, number
            found, projections, _ = model(repeat_channels(images, channels), training=False)
            return tf.concat([tf.cast(x, tf.float32) for x in (found, projections)], 1)

        def seen_and_loss(images: tf.Tensor, rows: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            key = random_numbers.key(config.seed, number)
            views, _ = two_views(augment, images, key, rows, global_batch=self._batch)
            _, projections, predictions = model(repeat_channels(views, channels), training=False)
            losses = losses_of(projections, predictions)[:, None]
            return tf.concat([seen(images, rows, number), losses], 1)

        remedy = optimizer.remedy(config.precision)
        self._of_bank, self._of_split = (
            SplitPass(
                process,
                columns_loop(strategy, network, self._batch, width),
                self._batch,
                remedy=remedy,
            )
            for network, width in (
                (seen, features + projection + labels + 1),
                (seen_and_loss, features + projection + labels + 2),
            )
        )

    def scores(
        self,
        split: data_split.Split,
        pixels: pipeline.Pixels | DevicePixels,
        limit: np.ndarray | None = None,
    ) -> Probed:
        """Returns what is measured of every image of a split, in the order of the records.

        Args:
          split: of the data set.
          pixels: of its images.
          limit: [n] numbers of the only records to look at; None for all.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
          NotFinite: if the network's output is not.
        """
        columns = self._of_split.columns(split, pixels, limit)
        features, projections, losses, labels, weights = self._parts(columns, losses=1)
        log_odds = np.zeros_like(labels)
        if labels.shape[1]:
            bank, pixels = self._bank
            seen = self._of_bank.columns(bank, pixels, self._bank_numbers)
            known, _, _, known_labels, _ = self._parts(seen, losses=0)
            log_odds = nearest(features, known, known_labels)
        scores = Scores(log_odds, labels, weights[:, 0], self._outputs)
        return Probed(losses[:, 0], projections, scores)

    @cached_property
    def _bank_numbers(self) -> np.ndarray | None:
        size = self._bank[0].size
        if size <= BANK:
            return None
        order = pipeline.epoch_order(self._config.seed, tf.constant(0, tf.int64), size)
        return np.sort(order[:BANK].numpy())

    def _parts(self, columns: np.ndarray, *, losses: int) -> list[np.ndarray]:
        features, projection, labels = self._sizes
        ends = np.cumsum([features, projection, losses, labels])
        return np.split(columns, ends, axis=1)


def nearest(features: np.ndarray, known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the log-odds of each label by the nearest known images: [n, K] float32.

    Args:
      features: [n, F] float32.
      known: [m, F] float32, of the images whose labels are known.
      labels: [m, K] float32: 1, 0, or -1 where it is not known.
    """
    cosines = _unit(features) @ _unit(known).T
    odds = np.zeros((len(features), labels.shape[1]), np.float32)
    for k, column in enumerate(labels.T):
        useful = np.flatnonzero(column >= 0)
        if not useful.size:
            continue
        near = cosines[:, useful]
        order = np.argsort(-near, axis=1, kind="stable")[:, :NEIGHBOURS]
        weights = np.exp((np.take_along_axis(near, order, 1) - 1) / TEMPERATURE)
        share = (weights * column[useful][order]).sum(1) / weights.sum(1)
        odds[:, k] = logit(np.clip(share, LEAST_SHARE, 1 - LEAST_SHARE))
    return odds


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
