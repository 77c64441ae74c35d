"""A run: what stays the same throughout, and what follows from it."""

from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.data import pipeline
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.terminal import LiveLine
from trainer.training import profiling, step
from trainer.training.evaluator import Evaluator
from trainer.training.state import State


@dataclass(frozen=True)
class Job:
    """What stays the same throughout a run."""

    config: ConfigDict
    workdir: epath.Path
    replicas: Replicas
    splits: dict[str, pipeline.Split]
    state: State
    total_steps: int
    signals: StopSignals
    line: LiveLine
    events: epath.Path

    @property
    def checkpoints(self) -> epath.Path:
        """Where the checkpoints are kept."""
        return self.workdir / "checkpoints"

    def epoch_end(self, epoch: int) -> int:
        """Returns the step after which `epoch` epochs have been seen whole."""
        return pipeline.steps(epoch * self.splits["train"].size, self.config.train.batch_size)

    def steps_until_a_stop(self, at_step: int, epoch: int) -> int:
        """Returns how many steps there are from `at_step` to where the loop has to stop.

        That is the end of the epoch after `epoch` ones, of a trace, or where a checkpoint is due.
        """
        stops = [self.epoch_end(epoch + 1) - at_step]
        stops += [bound - at_step for bound in profiling.bounds(self.config) if bound > at_step]
        if every := self.config.checkpoint.every_steps:
            stops.append(every - at_step % every)
        return min(stops)

    @property
    def learning_rate(self) -> float:
        """That of the next step."""
        return float(self.state.optimizer.learning_rate)

    def batches(self, images: pipeline.Pixels, start_step: int) -> Iterator[step.Batch]:
        """Returns the batches of every replica from `start_step` on."""
        config = self.config

        def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
            finite = pipeline.train_batches(
                *(images, config.seed, config.train.batch_size, config.train.epochs),
                *(start_step, context, config.train.accumulate),
            )
            return finite.repeat()  # without an end, workers need not ask one another for it

        return iter(self.replicas.strategy.distribute_datasets_from_function(of_worker))

    def evaluator(self, split: str) -> Evaluator:
        """Returns what scores a split with the network that is kept."""
        model, of = self.state.averaged, self.splits[split]
        return Evaluator(self.replicas, model, of, self.config, self.signals)
