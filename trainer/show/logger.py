"""What the chief shows of a run while it goes on: the terminal's line, TensorBoard, history."""

import json
from collections.abc import Mapping
from functools import partial

import tensorflow as tf
from etils import epath

from trainer import random_numbers
from trainer.augment import augmentation as augment
from trainer.checkpoint import checkpoint
from trainer.cloud import hypertune
from trainer.data import examples, pipeline
from trainer.metrics import classification
from trainer.metrics.scores import Scores
from trainer.models import inputs, layer_table
from trainer.show import dashboards
from trainer.show.budget import Budget
from trainer.show.figures import Figure, Figures
from trainer.show.pictures import sheet
from trainer.show.summaries import Summaries
from trainer.system import atomic, memory
from trainer.system.terminal import clock
from trainer.training import evaluator, step
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.run import Job

CURVES = ("loss", "accuracy", "auc", "average_precision", "sensitivity", "specificity")
SAMPLES = 8  # of each class


class Logger:
    """Writes down how the run goes on."""

    def __init__(self, job: Job, trial: hypertune.Trial | None = None):
        self._job, self._config, self._trial = job, job.config, trial
        self._skipped_steps = job.state.skipped_steps
        self._summaries = Summaries(job.events, job.workdir / "pictures")
        self._budget = Budget(job.config.summaries.time_share)
        self._exhibits = Figures(job.config, job.state.averaged, job.splits["validation"])
        self._shown = 0  # exhibits so far

    def begin(self, split: pipeline.Split) -> None:
        """Writes what can be shown before the first step: texts, samples, augmented ones."""
        summaries, read = self._summaries, partial(_read_json, self._job.workdir)
        with self._budget.spending():
            summaries.text("config", dashboards.config_text(self._config))
            summaries.text("environment", dashboards.environment_text(read("environment.json")))
            summaries.text("data", dashboards.data_text(read("data_summary.json")))
            summaries.text("model", layer_table.markdown(self._job.state.model))
            summaries.raw(dashboards.layout())
            for summary in dashboards.hyperparameters(self._config):
                summaries.raw(summary)
            if self._config.summaries.time_share:
                self._samples(split)

    def loop(self, record: Progress, result: step.LoopResult, pace: LoopTimer) -> None:
        """Writes down a loop of training steps."""
        epochs, seconds_a_step = self._config.train.epochs, result.seconds / len(result.losses)
        training = {
            "step_loss": float(result.losses.mean()),
            "learning_rate": self._job.learning_rate,
            "gradient_norm": result.gradient_norm,
            "update_ratio": result.update_ratio,
        }
        if self._config.precision == "mixed_float16":
            training |= self._half_precision(record.step)
        self._scalars("train", record.step, "training", training)
        if not pace.known:  # its time says nothing of the steps to come
            return
        speed = {
            "images_per_second": self._config.train.batch_size / seconds_a_step,
            "step_milliseconds": 1000 * seconds_a_step,
            "input_wait": result.wait_seconds / result.seconds,
        }
        self._scalars("train", record.step, "speed", speed)
        self._job.line.show(
            f"epoch {record.epoch + 1}/{epochs}  step {record.step:,}/{self._job.total_steps:,}  "
            f"loss {training['step_loss']:.4f}  {speed['images_per_second']:.0f} images/s  "
            f"{clock((self._job.total_steps - record.step) * pace.seconds_a_step)} left",
            record.step / self._job.total_steps,
        )

    def epoch(self, record: Progress, validation: Scores) -> None:
        """Writes down an epoch that has been evaluated; `validation` is what was said of it."""
        atomic.write_json(self._job.workdir / "history.json", record.history)
        self._job.line.settle(record.last_line(self._config.train.epochs), record.heading())
        for part in ("train", "validation"):
            self._summaries.scalars(part, record.step, curves(record.history[-1][part]))
        if self._trial:
            self._trial.report(record.history[-1]["validation"]["auc"], record.epoch)
        self._show_in_turn(record.step, validation)
        peaks = memory.peak_gib(self._job.replicas.devices)
        speed = {f"{name}_memory_gib": peak for name, peak in peaks.items()}
        speed["summaries"] = self._budget.spent_share
        self._scalars("train", record.step, "speed", speed)

    def checkpoint(self, saver: checkpoint.Saver) -> None:
        """Writes down how long checkpoints took that have been written meanwhile."""
        for at_step, seconds in saver.take_durations():
            self._scalars("train", at_step, "checkpoint", {"seconds": seconds})

    def flush(self) -> dict[str, int]:
        """Makes everything visible; returns the lengths of the event files, in bytes."""
        return self._summaries.flush()

    def _show_in_turn(self, at_step: int, validation: Scores) -> None:
        """Shows one exhibit after the other while there is time, and goes on there next time."""
        if not self._budget.left:
            return
        with self._budget.spending():
            shown = self._exhibits
            chosen = evaluator.chosen_on(validation)
            every = [
                *shown.activations(),
                *shown.explanations(),
                *shown.judged(partial(shown.judge, validation, chosen), validation),
                *shown.errors(validation, chosen.points[evaluator.CHOSEN]),
                *shown.weights(),
            ]
        for _ in every:
            if not self._budget.left:
                return
            with self._budget.spending():
                show(self._summaries, "validation", at_step, every[self._shown % len(every)])
            self._shown += 1

    def _samples(self, split: pipeline.Split) -> None:
        groups = examples.groups(split)
        images, names, of = examples.first_of_each_group(split, self._config.data, SAMPLES, groups)
        groups = [group for group in groups if group in of]
        samples = sheet.sample_sheet(images, names, groups, [groups.index(group) for group in of])
        self._summaries.picture("train", 0, "samples", samples)
        augmentation = augment.build(self._config.augment, jit_compile=False)  # not worth it, once
        originals, rows = inputs.images_to_float(tf.constant(images)), tf.range(len(images))
        key = random_numbers.key(self._config.seed, tf.constant(0))
        augmented = augmentation(originals, key, rows, len(images))
        picture = sheet.augmented_batch(augmented.numpy(), originals.numpy())
        self._summaries.picture("train", 0, "augmented", picture)

    def _scalars(self, part: str, at_step: int, group: str, values: Mapping[str, float]) -> None:
        self._summaries.scalars(part, at_step, {f"{group}/{n}": v for n, v in values.items()})

    def _half_precision(self, at_step: int) -> dict[str, float]:
        """Returns the loss scale and the steps skipped so far, and says when there are more."""
        scale, skipped = self._job.state.loss_scale, self._job.state.skipped_steps
        if new := skipped - self._skipped_steps:
            self._job.line.settle(
                f"step {at_step:,}: {new} steps skipped, whose gradients were not finite; the loss "
                f"scale is now {scale:g}"
            )
        self._skipped_steps = skipped
        return {"loss_scale": scale, "skipped_steps": skipped}


def conclude(job: Job, test: Scores, chosen: evaluator.Chosen, best_step: int) -> None:
    """Writes all that is shown of the best network and the test split.

    Args:
      job: whose kept network is the best one.
      test: what it said of the test split, whose evaluation is written.
      chosen: on validation.
      best_step: the step of the network.
    """
    config, split = job.config, job.splits["test"]
    summaries = Summaries(job.events, job.workdir / "pictures")
    summaries.scalars("test", best_step, curves(classification.measure_all(test, split.labels)))
    if config.summaries.time_share:
        shown = Figures(config, job.state.averaged, split)
        for exhibit in (
            *shown.weights(),
            *shown.activations(whole=True),
            *shown.explanations(),
            *shown.judged(partial(evaluator.read_judged, job.workdir, "test"), test),
            *shown.errors(test, chosen.points[evaluator.CHOSEN]),
        ):
            show(summaries, "test", best_step, exhibit)
        summaries.graph("test", shown.graph())
    summaries.flush()


def show(summaries: Summaries, part: str, at_step: int, exhibit: Figure) -> None:
    """Writes an exhibit."""
    write = {"picture": summaries.picture, "histogram": summaries.histogram}[exhibit.kind]
    write(part, at_step, exhibit.tag, exhibit.draw())


def curves(measured: Mapping) -> dict[str, float | None]:
    """Returns the scalars of what `classification.measure_all` returns, those of each label too."""
    values = {tag: measured[tag] for tag in CURVES}
    for label, of in measured.get("labels", {}).items():
        values |= {f"{tag}/{label}": of[tag] for tag in CURVES}
    return values


def _read_json(workdir: epath.Path, name: str) -> dict:
    return json.loads((workdir / name).read_text())
