"""TensorBoard: curves, texts, and pictures and histograms of what the network learns over time."""

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from trainer import random_numbers
from trainer.augment import augmentation
from trainer.data import examples
from trainer.metrics import classification, evaluation_files
from trainer.metrics.operating_points import CHOSEN
from trainer.metrics.scores import Scores
from trainer.models import inputs, layer_table
from trainer.show import curves, dashboards
from trainer.show.figures import Figures
from trainer.show.logger import Evaluation, Logger
from trainer.show.pictures import sheet
from trainer.show.summaries import Figure, Summaries, rewind
from trainer.system import json_files
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.run import Run
from trainer.training.step import LoopResult

SAMPLES = 8  # of each class
TAGS = 2  # version of the tags: what a checkpoint of an older one wrote is written under them anew


class TensorBoard(Logger):
    """Writes events for TensorBoard, and the pictures as files.

    Scalars are written after each loop and epoch. Pictures and histograms of what the network has
    learnt are drawn for examples of the validation split after `summaries.times` epochs, evenly
    spread. What takes longer to draw follows at the end, for the kept epoch.
    """

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Removes the events of steps that will come again; describes a new run."""
        self._run, self._config = run, run.config
        self._epochs = epochs_shown(run.config.train.epochs, run.config.summaries.times)
        rewind(run.events, saved.get("events", {}))
        self._summaries = Summaries(run.events, run.workdir / "pictures", progress.step)
        if saved.get("tags") != TAGS:
            with run.speed.spent_on("pictures"):
                self._describe()
            for row in progress.evaluations:  # of an older version, so that its curves are whole
                self._validation_curves(row)
            for row in progress.history:
                self._epoch_curves(row)

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Writes loss, norms and speed."""
        self._summaries.scalars("train", progress.step, curves.of_loop(self._run, result, timer))

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Writes the epoch's metrics and, where it is one of those shown, its figures."""
        self._epoch_curves(progress.history[-1])
        if progress.epoch in self._epochs:
            with self._run.speed.spent_on("pictures"):
                self._summaries.figures("validation", progress.step, self._figures.network())
        self._summaries.scalars("train", progress.step, curves.of_speed(self._run))

    def evaluation(self, progress: Progress) -> None:
        """Writes the metrics of an evaluation that is not at the end of an epoch."""
        self._validation_curves(progress.evaluations[-1])

    def saved(self, durations: Sequence[tuple[int, float]]) -> None:
        """Writes the time that each checkpoint took."""
        for at_step, seconds in durations:
            self._summaries.scalars("train", at_step, curves.of_checkpoint(seconds))

    def checkpoint_state(self) -> dict[str, Any]:
        """Makes all events visible; returns the length of each file of events, in bytes."""
        return {"events": self._summaries.flush(), "tags": TAGS}

    def end(self, evaluation: Evaluation) -> None:
        """Writes the test metrics, and all figures of both splits."""
        run, step = self._run, evaluation.kept["step"]
        test, labels = evaluation.scores["test"], run.data.splits["test"].labels
        measured = classification.measure_all(test, labels)
        self._summaries.scalars("test", step, curves.of_metrics(measured))
        self._summaries.scalars(dashboards.COMPARED_RUN, step, dashboards.compared(measured))
        if self._config.summaries.times:
            for part, scores in evaluation.scores.items():
                split, outputs = run.data.splits[part], run.outputs
                figures = Figures(self._config, run.state.averaged, split, outputs=outputs)
                results = evaluation_files.read_label_results(run.workdir, part)
                thresholds = evaluation.points.thresholds[CHOSEN]
                drawn = figures.evaluation(results, scores, thresholds)
                if part == "test":
                    drawn = itertools.chain(figures.network(whole=True), drawn)
                with run.speed.spent_on("pictures"):  # drawn as they are written
                    self._summaries.figures(part, step, drawn)
        self._summaries.flush()

    @cached_property
    def _figures(self) -> Figures:
        run = self._run
        split = run.data.splits["validation"]
        return Figures(run.config, run.state.averaged, split, outputs=run.outputs)

    def _describe(self) -> None:
        summaries, run = self._summaries, self._run

        def content(name: str) -> dict:
            return json_files.read(run.workdir / name)

        summaries.text("config", dashboards.config_text(self._config))
        summaries.text("environment", dashboards.environment_text(content("environment.json")))
        summaries.text("data", dashboards.data_text(content("data_summary.json")))
        summaries.text("model", layer_table.markdown(run.state.model))
        summaries.raw("train", dashboards.layout())
        summaries.graph("train", dashboards.graph(run.state.model))
        for summary in dashboards.hyperparameters(self._config, trial_name(run.workdir)):
            summaries.raw(dashboards.COMPARED_RUN, summary)
        if self._config.summaries.times:
            self._write_samples()

    def _write_samples(self) -> None:
        split = self._run.data.splits["train"]
        groups = examples.groups(split)
        images, names, shown = examples.first_of_each_group(
            split, self._config.data, SAMPLES, wanted=groups
        )
        augment = augmentation.build(self._config.augment, jit_compile=False)  # runs once
        originals, rows = inputs.images_to_float(tf.constant(images)), tf.range(len(images))
        key = random_numbers.key(self._config.seed, tf.constant(0))
        augmented = augment(originals, key, rows, global_batch=len(images))
        batch = augmented.numpy(), originals.numpy()
        samples = sheet.sample_sheet(images, names, shown), sheet.sample_thumbnail(images, shown)
        changed = sheet.augmented_batch(*batch), sheet.augmented_thumbnail(*batch)
        pictures = [
            Figure(tag, "picture", *drawn, small=small)
            for tag, (drawn, small) in {"samples": samples, "augmented": changed}.items()
        ]
        self._summaries.figures("train", 0, pictures)

    def _epoch_curves(self, row: Mapping[str, Any]) -> None:
        self._summaries.scalars("train", row["step"], curves.of_metrics(row["train"]))
        self._validation_curves(row)

    def _validation_curves(self, row: Mapping[str, Any]) -> None:
        metrics = curves.of_metrics(row["validation"])
        self._summaries.scalars("validation", row["step"], metrics)


def epochs_shown(epochs: int, times: int) -> set[int]:
    """Returns the epochs after which figures are drawn: evenly spread, first and last among them.

    Args:
      epochs: of the run, counted from 1.
      times: how many; once is after the last, 0 never.
    """
    first = 1 if times > 1 else epochs
    return {round(epoch) for epoch in np.linspace(first, epochs, min(times, epochs))}


def trial_name(workdir: epath.Path) -> str:
    """Returns a run's name among others: its folder's, and that of the folder around it."""
    return "/".join(workdir.parts[-2:]).strip("/")
