"""A run: its config, data, replicas and variables, and what follows from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import __version__
from trainer.config import schema
from trainer.data import device_cache, pipeline, pixel_file
from trainer.data.device_cache import DevicePixels
from trainer.data.pixel_cache import PixelCache
from trainer.data.prepared_data import PreparedData
from trainer.distribute import tpu
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.metrics import classification
from trainer.metrics.outputs import EXCLUSIVE, INDEPENDENT, IndependentLabels
from trainer.metrics.scores import Scores
from trainer.system.errors import UsageError
from trainer.system.watchdog import Watchdog
from trainer.training import learning_rate, patience, probe, profiling
from trainer.training.augmented_evaluator import AugmentedEvaluator
from trainer.training.evaluator import Evaluator, Process
from trainer.training.global_batch import Batch
from trainer.training.progress import Measure, Progress
from trainer.training.run_paths import network_source
from trainer.training.speed import Speed
from trainer.training.state import State, create_state

MAY_DIFFER = ("data.path", "data.cache", "data.disk_gib")  # between the workers of a run


@dataclass(frozen=True)
class Run:
    """What stays the same throughout a run, but for the variables of its state.

    Attributes:
      config: every field.
      workdir: where everything is written, local or gs://.
      events: folder of TensorBoard's event files.
      data: the data set.
      pixels: of its splits.
      replicas: the devices and workers that train.
      signals: the stop signals that this worker received.
      watchdog: what ends this worker if it does not get on.
      state: network, optimizer and average.
      total_steps: of the whole training.
      speed: where this session's time goes.
    """

    config: ConfigDict
    workdir: epath.Path
    events: epath.Path
    data: PreparedData
    pixels: PixelCache
    replicas: Replicas
    signals: StopSignals
    watchdog: Watchdog
    state: State
    total_steps: int
    speed: Speed

    @property
    def checkpoints(self) -> epath.Path:
        """The folder of the checkpoints."""
        return self.workdir / "checkpoints"

    @property
    def outputs(self) -> IndependentLabels:
        """What the outputs of the network are."""
        return outputs_of(self.config, self.data)

    @property
    def measure(self) -> Measure:
        """What gives the metrics of this run's scores."""
        return probe.measure if self.config.pretrain.method else classification.measure_all

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.state.optimizer.learning_rate)

    def is_done(self, progress: Progress) -> bool:
        """Returns whether no step is left: of the config's epochs, or of its patience."""
        train, by = self.config.train, self.config.checkpoint.best_by
        exhausted = patience.is_exhausted(progress.history, by, train.patience)
        return progress.epoch >= train.epochs or exhausted

    def set_learning_rate(self, progress: Progress) -> None:
        """Lowers the learning rate by what validation did so far, if `schedule.name` is plateau."""
        schedule, by = self.config.schedule, self.config.checkpoint.best_by
        if schedule.name == "plateau":
            times = patience.reductions(progress.history, by, schedule.plateau_epochs)
            learning_rate.set_factor(self.state.optimizer, schedule.plateau_factor**times)
            for row in progress.history[-1:]:
                row["train"]["learning_rate"] = self.learning_rate

    def epoch_end(self, epoch: int) -> int:
        """Returns the step at which `epoch` epochs are complete."""
        images = epoch * self.data.splits["train"].size
        return pipeline.steps(images, self.config.train.batch_size)

    def steps_until_pause(self, at_step: int, epoch: int) -> int:
        """Returns the number of steps from `at_step` until the loop has to pause.

        It pauses at the end of the epoch after `epoch` complete ones, at both ends of a trace, and
        where a checkpoint or an evaluation is due.
        """
        pauses = [self.epoch_end(epoch + 1) - at_step]
        pauses += [bound - at_step for bound in profiling.bounds(self.config) if bound > at_step]
        for every in (self.config.checkpoint.every_steps, self.config.evaluation.every_steps):
            if every:
                pauses.append(every - at_step % every)
        return min(pauses)

    def epochs_at(self, at_step: int, epoch: int) -> float:
        """Returns the epochs taken at a step of the one after `epoch` complete ones: 1.5, say."""
        begin, end = self.epoch_end(epoch), self.epoch_end(epoch + 1)
        return epoch + (at_step - begin) / (end - begin)

    def train_batches(self, start_step: int) -> Iterator[Batch]:
        """Returns the training batches of every replica, from `start_step` on."""
        config = self.config
        images = self.pixels.pixels("train")
        if isinstance(images, DevicePixels):
            return device_cache.train_batches(
                images,
                config.train.batch_size,
                seed=config.seed,
                epochs=config.train.epochs,
                start_step=start_step,
                parts=config.train.accumulate,
            )

        def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
            finite = pipeline.train_batches(
                images,
                config.train.batch_size,
                seed=config.seed,
                epochs=config.train.epochs,
                start_step=start_step,
                context=context,
                parts=config.train.accumulate,
            )
            return finite.repeat()  # without an end, workers need not ask one another for it

        return iter(self.replicas.strategy.distribute_datasets_from_function(worker_batches))

    @cached_property
    def limit(self) -> np.ndarray | None:
        """Records of validation that are evaluated within an epoch: [n] int64, None for all."""
        size, limit = self.data.splits["validation"].size, self.config.evaluation.limit
        if not 0 < limit < size:
            return None
        drawn = pipeline.epoch_order(self.config.seed, tf.constant(0, tf.int64), size)[:limit]
        return np.sort(drawn.numpy())

    def scores(self, split: str) -> Scores:
        """Returns the averaged network's scores of a split, by all of `model.views`."""
        return self._evaluator.scores(self.data.splits[split], self.pixels.pixels(split))

    def scores_while_training(self, split: str, limit: np.ndarray | None = None) -> Any:
        """Returns the averaged network's `Scores` of a split, or what a `Probe` saw of them.

        They are by one view: six after each epoch would take a quarter of the time of training.
        """
        return self._monitor.scores(self.data.splits[split], self.pixels.pixels(split), limit)

    def augmented_scores(self, split: str) -> Scores | None:
        """Returns the averaged network's scores of a split as it is augmented; None if it is not.

        See `AugmentedEvaluator`.
        """
        process = Process(self.replicas, self.signals, self.watchdog)
        evaluator = AugmentedEvaluator(
            process, self.state.averaged, config=self.config, outputs=self.outputs
        )
        if not evaluator.is_on:
            return None
        return evaluator.scores(self.data.splits[split], self.pixels.pixels(split))

    @cached_property
    def _monitor(self) -> Evaluator | probe.Probe:
        if self.config.pretrain.method:
            return probe.Probe(
                Process(self.replicas, self.signals, self.watchdog),
                self.state.averaged,
                config=self.config,
                bank=(self.data.splits["train"], self.pixels.pixels("train")),
                outputs=self.outputs,
            )
        return self._evaluator if self.config.model.views == 1 else self._evaluator_by(1)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return self._evaluator_by(self.config.model.views)

    def _evaluator_by(self, views: int) -> Evaluator:
        return Evaluator(
            self.replicas,
            self.state.averaged,
            config=self.config,
            signals=self.signals,
            watchdog=self.watchdog,
            outputs=self.outputs,
            answer_views=views,
        )


def check_replicas(config: ConfigDict, strategy: str, replicas: int) -> None:
    """Raises a UsageError if a strategy's replicas cannot train this config.

    Args:
      config: of the run.
      strategy: as in `distribute.strategy`, but not "auto".
      replicas: how many there are, on all workers together.
    """
    if strategy != "tpu" and tpu.installed() and config.augment.jit_compile:
        raise UsageError(
            "this TensorFlow is the build for TPUs, which compiles nothing for the devices that "
            f"distribute.strategy={strategy} takes: install another with ACCELERATOR=cpu "
            "scripts/setup.sh, or give --config.augment.jit_compile=false."
        )
    obstacle = None
    if strategy in ("mirrored", "multi_worker") or replicas > 1:
        obstacle = "mirrored replicas"
    elif config.train.deterministic:
        obstacle = "train.deterministic=true"
    if config.train.jit == "on" and obstacle and strategy != "tpu":
        raise UsageError(
            f"train.jit=on does not go together with {obstacle}: give --config.train.jit=auto."
        )
    schema.check_global_batch(config, replicas)


def outputs_of(config: ConfigDict, data: PreparedData) -> IndependentLabels:
    """Returns what the outputs of a network are that is trained on the data set."""
    independent = ("binary", "sigmoid", "asymmetric")
    return EXCLUSIVE if data.exclusive and config.loss.name not in independent else INDEPENDENT


def facts(config: ConfigDict, data: PreparedData) -> dict[str, str]:
    """Returns what all workers of a run must have in common, by name."""
    versions = {"TensorFlow": tf.__version__, "Keras": keras.__version__, "trainer": __version__}
    same = {
        path: repr(value)
        for path, value in schema.fields(config)
        if path not in MAY_DIFFER and not path.startswith("distribute.")
    }
    return {**versions, "dataset_fingerprint": data.summary["dataset_fingerprint"], **same}


def create_run(
    config: ConfigDict,
    workdir: epath.Path,
    events: epath.Path,
    *,
    data: PreparedData,
    replicas: Replicas,
    signals: StopSignals,
    watchdog: Watchdog,
    speed: Speed | None = None,
) -> Run:
    """Builds network and optimizer on the replicas; see `Run` for the arguments."""
    folder = pixel_file.folder_of(data.path)
    pixels = PixelCache(
        data.splits,
        config.data,
        processes=replicas.workers_here,
        folder=folder,
        strategy=replicas.strategy,
    )
    images, batch = data.splits["train"].size, config.train.batch_size
    total_steps = pipeline.steps(config.train.epochs * images, batch)
    with replicas.strategy.scope():
        epoch_steps = pipeline.steps(images, batch)
        state = create_state(
            config,
            total_steps,
            epoch_steps,
            outputs=len(data.labels),
            source=network_source(workdir),
        )
    process = (replicas, signals, watchdog)
    speed = speed or Speed()
    return Run(config, workdir, events, data, pixels, *process, state, total_steps, speed)
