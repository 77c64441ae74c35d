"""Scores judged images with every network of an ensemble, on all replicas."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from trainer.data import pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.judge.ensemble import Ensemble
from trainer.judge.judged_data import JudgedData
from trainer.metrics.scores import Scores
from trainer.system.watchdog import Watchdog
from trainer.training.evaluation_loop import View, unchanged
from trainer.training.evaluator import Evaluator
from trainer.training.trained_model import TrainedModel

UNCHANGED: tuple[View, ...] = (unchanged,)


def mirrored(images: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the images mirrored, left and right exchanged: a view for test-time augmentation."""
    del rows
    return tf.reverse(images, axis=[2])


class Scorer:
    """Scores the images of a data set, as they are or changed.

    Args:
      network: loaded in the scope of the replicas' strategy.
      data: whose images are scored.
      replicas: that do the work.
      keep: whether decoded images are kept in memory, to be scored again.
    """

    def __init__(
        self,
        network: Ensemble,
        data: JudgedData,
        replicas: Replicas,
        *,
        keep: bool = False,
    ):
        self._network, self._data, self._replicas = network, data, replicas
        self._cache = "host" if keep else "none"
        self._pixels: dict[tuple[int, str], pipeline.Pixels] = {}

    def logits(self, views: Sequence[View] = UNCHANGED) -> list[np.ndarray]:
        """Returns the log-odds that each network gives, [n, K] float32.

        Args:
          views: of an image, of whose outputs the mean is taken, see `evaluation_loop`.

        Raises:
          NotFinite: the output of a network is not.
        """
        return [self._scores(member, views).logits for member in self._network.members]

    def _scores(self, member: TrainedModel, views: Sequence[View]) -> Scores:
        config = member.config.copy_and_resolve_references()
        batch = config.train.batch_size // config.train.accumulate
        replicas = self._replicas.strategy.num_replicas_in_sync
        config.train.batch_size, config.train.accumulate = -(-batch // replicas) * replicas, 1
        evaluator = Evaluator(
            self._replicas,
            member.model,
            config=config,
            signals=StopSignals(),  # a stop signal ends the process: nothing is to be saved
            watchdog=Watchdog(),
            outputs=self._network.outputs,
            views=views,
        )
        pixels = self._pixels_of(config.data.image_size, config.data.fit)
        return evaluator.scores(self._data.split, pixels)

    def _pixels_of(self, image_size: int, fit_mode: str) -> pipeline.Pixels:
        """Returns the images with K labels of 0: those of the data set may be others."""
        key, labels = (image_size, fit_mode), len(self._network.labels)
        if key not in self._pixels:
            stored = pipeline.pixels(self._data.split, image_size, self._cache, fit_mode=fit_mode)

            def unlabelled(image: tf.Tensor, _: tf.Tensor, *others: tf.Tensor) -> tuple:
                return image, tf.zeros((image.shape[0], labels)), *others

            def look_up(batches: tf.data.Dataset) -> tf.data.Dataset:
                return stored.look_up(batches).map(unlabelled)

            self._pixels[key] = pipeline.Pixels(stored.size, look_up)
        return self._pixels[key]
