"""Scores one split with one network."""

import time

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.system.errors import NotFinite
from trainer.system.watchdog import Watchdog
from trainer.training import optimizer
from trainer.training.loop_timer import LoopTimer
from trainer.training.step import Batch, evaluation_loop


class Evaluator:
    """Scores one split with one network, as often as asked.

    Args:
      replicas: where the network runs.
      model: the network.
      split: what it is evaluated on.
      pixels: of the split.
      config: of the run.
      signals: that end it between two loops.
      watchdog: that ends the process if one takes too long.
      outputs: what the network's outputs are.
    """

    def __init__(
        self,
        replicas: Replicas,
        model: tf.keras.Model,
        split: pipeline.Split,
        *,
        pixels: pipeline.Pixels,
        config: ConfigDict,
        signals: StopSignals,
        watchdog: Watchdog,
        outputs: IndependentLabels = INDEPENDENT,
    ):
        # In the parts that a training step is computed in: no more has to fit the memory.
        batch = config.train.batch_size // config.train.accumulate
        self._name, self._remedy = split.name, optimizer.remedy(config.precision)

        def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            return pipeline.evaluation_batches(pixels, batch, context).repeat()

        self._batches: tf.distribute.DistributedDataset[Batch] = (
            replicas.strategy.distribute_datasets_from_function(batches)
        )
        self._loop = evaluation_loop(replicas.strategy, model, batch)
        self._steps = pipeline.steps(split.size, batch)
        self._timer, self._watchdog = LoopTimer(replicas, signals), watchdog
        self._outputs = outputs

    def scores(self) -> Scores:
        """Returns logits and labels of every image, in the order of the records.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
          NotFinite: if the network's output is not.
        """
        batches, parts, done = iter(self._batches), [], 0
        while done < self._steps:
            steps, began = self._timer.steps(self._steps - done), time.perf_counter()
            with self._watchdog.watch("loop of an evaluation"):
                parts.append(self._loop(batches, steps))
                self._timer.end_loop(steps, time.perf_counter() - began)
            done += steps
        columns = np.concatenate([part.columns() for part in parts])
        scores = Scores.from_columns(columns, self._outputs).without_padding()
        if bad := int(np.sum(~np.isfinite(scores.logits).all(1))):
            raise NotFinite(
                f"the network's output is not finite for {bad:,} of the {len(scores.logits):,} "
                f"{self._name} images. {self._remedy}"
            )
        return scores
