"""Scores splits with one network."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from ml_collections import ConfigDict

from trainer.data import data_split, device_cache, pipeline
from trainer.data.device_cache import DeviceBatches, DevicePixels
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.system.errors import NotFinite
from trainer.system.watchdog import Watchdog
from trainer.training import optimizer
from trainer.training.evaluation_loop import Loop, View, evaluation_loop, unchanged
from trainer.training.global_batch import Batch
from trainer.training.loop_timer import LoopTimer


class Process(NamedTuple):
    """Where an evaluation runs, and what ends it.

    Attributes:
      replicas: of the network.
      signals: that end it between two loops.
      watchdog: that ends the process if one takes too long.
    """

    replicas: Replicas
    signals: StopSignals
    watchdog: Watchdog


class SplitPass:
    """Runs the loop of an evaluation over all of a split.

    Args:
      process: where it runs.
      loop: see `columns_loop`.
      batch: its global batch.
      remedy: what to do where outputs are not finite, see `optimizer.remedy`.
    """

    def __init__(self, process: Process, loop: Loop, batch: int, *, remedy: str):
        self._process, self._loop, self._batch = process, loop, batch
        self._remedy = remedy
        self._timer = LoopTimer(process.replicas, process.signals)
        self._on_device: dict[tuple[DevicePixels, bool], DeviceBatches] = {}

    def columns(
        self,
        split: data_split.Split,
        pixels: pipeline.Pixels | DevicePixels,
        limit: np.ndarray | None = None,
    ) -> np.ndarray:
        """Returns outputs, labels and weights of every image, in the order of the records.

        Args:
          split: of the data set.
          pixels: of its images.
          limit: [n] numbers of the only records to look at; None for all.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
          NotFinite: if the network's output is not.
        """
        batches = self._batches(pixels, limit)
        images = split.size if limit is None else len(limit)
        total, parts, done = pipeline.steps(images, self._batch), [], 0
        while done < total:
            steps, began = self._timer.steps(total - done), time.perf_counter()
            with self._process.watchdog.watch("loop of an evaluation"):
                parts.append(self._loop(batches, steps, done))
                self._timer.end_loop(steps, time.perf_counter() - began)
            done += steps
        columns = np.concatenate(parts)
        columns = columns[columns[:, -1] > 0]
        if bad := int(np.sum(~np.isfinite(columns).all(1))):
            raise NotFinite(
                f"the network's output is not finite for {bad:,} of the {len(columns):,} "
                f"{split.name} images. {self._remedy}"
            )
        return columns

    def _batches(
        self, pixels: pipeline.Pixels | DevicePixels, limit: np.ndarray | None
    ) -> Iterator[Batch]:
        if isinstance(pixels, DevicePixels):
            # The same ones again, which the loop is compiled for.
            key = pixels, limit is None
            if key not in self._on_device:
                self._on_device[key] = device_cache.evaluation_batches(
                    pixels, self._batch, limit=limit
                )
            self._on_device[key].restart()
            return self._on_device[key]

        def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            batches = pipeline.evaluation_batches(pixels, self._batch, context, limit=limit)
            return batches.repeat()

        strategy = self._process.replicas.strategy
        return iter(strategy.distribute_datasets_from_function(worker_batches))


class Evaluator:
    """Scores splits with one network, whose loop is compiled once for all of them.

    Args:
      replicas: where the network runs.
      model: the network.
      config: of the run.
      signals: that end it between two loops.
      watchdog: that ends the process if one takes too long.
      outputs: what the network's outputs are.
      views: of an image, of whose outputs the mean is taken, see `evaluation_loop`.
      answer_views: by which the network answers; `model.views` by default.
    """

    def __init__(
        self,
        replicas: Replicas,
        model: tf.keras.Model,
        *,
        config: ConfigDict,
        signals: StopSignals,
        watchdog: Watchdog,
        outputs: IndependentLabels = INDEPENDENT,
        views: Sequence[View] = (unchanged,),
        answer_views: int | None = None,
    ):
        # In the parts that a training step is computed in, each with all its views.
        batch = config.train.batch_size // config.train.accumulate
        answer_views = answer_views or config.model.views
        loop = evaluation_loop(replicas.strategy, model, batch, views, answer_views=answer_views)
        process, remedy = Process(replicas, signals, watchdog), optimizer.remedy(config.precision)
        self._pass, self._outputs = SplitPass(process, loop, batch, remedy=remedy), outputs

    def scores(
        self,
        split: data_split.Split,
        pixels: pipeline.Pixels | DevicePixels,
        limit: np.ndarray | None = None,
    ) -> Scores:
        """Returns logits and labels of every image of a split, in the order of the records.

        Args:
          split: of the data set.
          pixels: of its images.
          limit: [n] numbers of the only records to score; None for all.

        Raises:
          Stopped: on all workers, if one of them got a stop signal.
          NotFinite: if the network's output is not.
        """
        return Scores.from_columns(self._pass.columns(split, pixels, limit), self._outputs)
