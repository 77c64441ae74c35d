"""Scores a split as training sees it: in several draws of the run's own augmentation."""

import keras
import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.data import data_split, pipeline
from trainer.data.device_cache import DevicePixels
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.models.inputs import repeat_channels
from trainer.models.views import answer
from trainer.training import optimizer
from trainer.training.evaluation_loop import columns_loop
from trainer.training.evaluator import Process, SplitPass

DRAWS = 4


class AugmentedEvaluator:
    """Scores `DRAWS` augmented versions of each image; nothing is mixed.

    The draws depend on an image's batch and its row there, as in training, so that they are the
    same on any number of replicas; and on no seed, so that runs which differ in it alone are
    measured on the same images.

    Args:
      process: where it runs, and what ends it.
      model: the network.
      config: of the run.
      outputs: what the network's outputs are.

    Attributes:
      is_on: whether the run augments images at all.
    """

    def __init__(
        self,
        process: Process,
        model: keras.Model,
        *,
        config: ConfigDict,
        outputs: IndependentLabels = INDEPENDENT,
    ):
        batch = config.train.batch_size // config.train.accumulate
        strategy = process.replicas.strategy
        augment = augmentation.of_run(
            config, on_tpu=isinstance(strategy, tf.distribute.TPUStrategy)
        )
        self.is_on = augment.is_on
        channels, self._columns = model.input_shape[-1], model.output_shape[-1]

        def network(images: tf.Tensor, rows: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            seen = []
            for draw in range(DRAWS):
                key = random_numbers.key(draw, number)
                view = augment(images, key, rows, global_batch=batch)
                seen.append(answer(model, repeat_channels(view, channels), config.model.views))
            return tf.concat(seen, 1)

        width = (DRAWS + 1) * self._columns + 1
        loop = columns_loop(strategy, network, batch, width)
        self._pass = SplitPass(process, loop, batch, remedy=optimizer.remedy(config.precision))
        self._outputs = outputs

    def scores(self, split: data_split.Split, pixels: pipeline.Pixels | DevicePixels) -> Scores:
        """Returns logits and labels of every image of a split, all of a draw before the next.

        Args:
          split: of the data set.
          pixels: of its images.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
          NotFinite: if the network's output is not.
        """
        columns = self._pass.columns(split, pixels)
        *draws, labels_and_weights = np.split(
            columns, np.arange(1, DRAWS + 1) * self._columns, axis=1
        )
        of_draws = [np.concatenate([draw, labels_and_weights], 1) for draw in draws]
        return Scores.from_columns(np.concatenate(of_draws), self._outputs)
