"""The training job, top to bottom in the order in which it happens."""

import json
import math
import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer import (
    augment,
    checkpoint,
    distribute,
    draws,
    environment,
    evaluate,
    pictures,
    report,
    step,
    whole,
)
from trainer import config as config_schema
from trainer.data import dataset, pipeline
from trainer.entry import Refusal
from trainer.progress import LiveLine, clock
from trainer.record import Record
from trainer.summaries import ActivationWatch, Summaries

# A loop is as long as this takes: the terminal and a stop signal wait for its end.
LOOP_SECONDS = 2.0


@dataclass(frozen=True)
class Job:
    """What stays the same throughout a run."""

    config: ConfigDict
    workdir: epath.Path
    strategy: tf.distribute.Strategy
    splits: dict[str, pipeline.Split]
    state: step.State
    total_steps: int

    def epoch_end(self, epoch: int) -> int:
        """Returns the step after which `epoch` epochs have been seen whole."""
        return pipeline.steps(epoch * self.splits["train"].size, self.config.train.batch_size)


def train_and_evaluate(config: ConfigDict, workdir: epath.PathLike) -> dict:
    """Trains, or goes on where the work directory stands, and evaluates the best checkpoint.

    Args:
      config: see `trainer.config`.
      workdir: where everything is written; an unfinished run in it is taken up again.

    Returns:
      the evaluation of the test split, as in `evaluation/test.json`.

    Raises:
      Refusal: for what the user can mend.
    """
    config_schema.check(config)
    workdir = epath.Path(workdir)
    strategy = distribute.strategy(config.distribute, config.train.batch_size)
    splits = {name: pipeline.open_split(config.data.path, name) for name in dataset.SPLITS}
    _begin(workdir, config, strategy)
    job = _make_job(config, workdir, strategy, splits)
    record = _restore(job)
    print(
        f"{config.name}: {job.state.model.count_params():,} parameters, "
        f"{distribute.describe(strategy)}, {job.total_steps:,} steps of "
        f"{config.train.batch_size} images"
        + (f", going on at step {record.step:,}" if record.step else "")
    )
    if record.step < job.total_steps:
        train(job, record)
    return evaluate_best(job)


def train(job: Job, record: Record) -> None:
    """Takes the steps that are left, evaluating and saving at the end of each epoch."""
    config, line = job.config, LiveLine()
    train_split = job.splits["train"]
    images = pipeline.pixels(train_split, config.data.image_size, config.data.cache)
    summaries = Summaries(job.workdir)
    watch = _watch_activations(job)
    if record.step == 0:
        _write_introduction(job, summaries, images)
        watch.write(summaries, 0)
        summaries.flush()
    validation = evaluate.Evaluator(
        job.strategy, job.state.averaged, job.splits["validation"], config
    )
    loop = step.train_loop(job.strategy, job.state, config, class_weights(config, train_split))
    batches = _batches(job, images, record.step)
    line.show("compiling the training step ...")
    seconds_a_step = math.inf
    while record.step < job.total_steps:
        epoch = len(record.history) + 1
        count = _loop_steps(job, record, seconds_a_step)
        began = time.perf_counter()
        result = loop(batches, count)
        seconds = time.perf_counter() - began
        _stop_if_not_finite(job, record, result.losses)
        record.add_loop(result, seconds)
        compiled, seconds_a_step = math.isfinite(seconds_a_step), seconds / count
        now = {
            "learning_rate": _learning_rate(job),
            "images_per_second": config.train.batch_size / seconds_a_step,
            "input_wait": result.wait_seconds / seconds,
        }
        progress = {"step_loss": float(result.losses.mean()), **now}
        summaries.scalars("train", record.step, {f"training/{k}": v for k, v in progress.items()})
        if compiled:  # else the time says nothing of the steps to come
            line.show(
                f"epoch {epoch}/{config.train.epochs}  step {record.step:,}/{job.total_steps:,}  "
                f"loss {result.losses.mean():.4f}  {now['images_per_second']:.0f} images/s  "
                f"{clock((job.total_steps - record.step) * seconds_a_step)} left"
            )
        if record.step == job.epoch_end(epoch):
            if record.end_epoch(validation.scores(), now["learning_rate"]):
                _save(job, record, "best", keep=1)
            whole.write_json(job.workdir / "history.json", record.history)
            line.settle(record.last_line(config.train.epochs))
            for part in ("train", "validation"):
                curves = record.history[-1][part]
                shared = ("loss", "accuracy", "auc", "sensitivity", "specificity")
                summaries.scalars(part, record.step, {tag: curves[tag] for tag in shared})
            watch.write(summaries, record.step)
            summaries.flush()
            _save(job, record, "checkpoints", config.checkpoint.keep)
        elif config.checkpoint.every_steps and record.step % config.checkpoint.every_steps == 0:
            _save(job, record, "checkpoints", config.checkpoint.keep)


def evaluate_best(job: Job) -> dict:
    """Scores validation and test with the best checkpoint, and writes the report."""
    best = checkpoint.newest(job.workdir / "best")
    if best is None:
        raise Refusal(f"{job.workdir}/best holds no checkpoint: name another --workdir.")
    progress = checkpoint.restore(best, job.state.variables())

    def scores(name: str) -> step.Scores:
        split = job.splits[name]
        return evaluate.Evaluator(job.strategy, job.state.averaged, split, job.config).scores()

    def write(name: str, scored: step.Scores) -> dict:
        split, seed = job.splits[name], job.config.seed
        return evaluate.write(job.workdir, split, scored, points, progress["best"], seed)

    validation = scores("validation")
    points = evaluate.operating_points(validation)
    write("validation", validation)
    result = write("test", scores("test"))
    page = report.write(job.workdir)
    print(f"\n{evaluate.table(result)}\n\nreport: {page}")
    print(f"TensorBoard: scripts/tensorboard.sh {shlex.quote(str(job.workdir))}")
    return result


def class_weights(config: ConfigDict, split: pipeline.Split) -> tuple[float, float]:
    """Returns the weight of each class; balanced, both count as much in all."""
    if config.loss.class_weights == "none":
        return 1.0, 1.0
    return tuple(split.size / (2 * max(count, 1)) for count in split.counts)


def _begin(workdir: epath.Path, config: ConfigDict, strategy: tf.distribute.Strategy) -> None:
    """Writes what describes the run, unless it has begun: then the config must be the same."""
    file = workdir / "config.json"
    if file.exists():
        config_schema.check_same_run(config, json.loads(file.read_text()))
        return
    workdir.mkdir(parents=True, exist_ok=True)
    summary = dataset.read_summary(config.data.path)
    whole.write_json(workdir / "data_summary.json", summary)
    whole.write_json(
        workdir / "environment.json", environment.describe(strategy.extended.worker_devices)
    )
    whole.write_json(file, config.to_dict())


def _make_job(
    config: ConfigDict,
    workdir: epath.Path,
    strategy: tf.distribute.Strategy,
    splits: dict[str, pipeline.Split],
) -> Job:
    images, batch = splits["train"].size, config.train.batch_size
    total_steps = pipeline.steps(config.train.epochs * images, batch)
    with strategy.scope():
        state = step.create_state(config, total_steps, pipeline.steps(images, batch))
    return Job(config, workdir, strategy, splits, state, total_steps)


def _restore(job: Job) -> Record:
    newest = checkpoint.newest(job.workdir / "checkpoints")
    if newest is None:
        return Record()
    return Record(**checkpoint.restore(newest, job.state.variables()))


def _batches(job: Job, images: pipeline.Pixels, start_step: int) -> Iterator[step.Batch]:
    train = job.config.train

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return pipeline.train_batches(
            images, job.config.seed, train.batch_size, train.epochs, start_step, context
        )

    return iter(job.strategy.distribute_datasets_from_function(batches))


def _loop_steps(job: Job, record: Record, seconds_a_step: float) -> int:
    """Returns how many steps to take before Python looks again: no epoch or save is run over."""
    stops = [job.epoch_end(len(record.history) + 1) - record.step]
    if every := job.config.checkpoint.every_steps:
        stops.append(every - record.step % every)
    return max(1, min(*stops, int(LOOP_SECONDS / seconds_a_step)) if stops else 1)


def _stop_if_not_finite(job: Job, record: Record, losses: np.ndarray) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if not bad.size or job.config.precision == "mixed_float16":
        return
    good = checkpoint.newest(job.workdir / "checkpoints")
    raise Refusal(
        f"the loss is {losses[bad[0]]} at step {record.step + int(bad[0]) + 1}, learning rate "
        f"{_learning_rate(job):.3g}; the last good checkpoint is {good or 'none yet'}. Lower "
        "optimizer.learning_rate or set optimizer.clip_norm=1, in another --workdir."
    )


def _learning_rate(job: Job) -> float:
    return float(job.state.optimizer.learning_rate)


def _save(job: Job, record: Record, folder: str, keep: int) -> None:
    checkpoint.save_newest(job.workdir / folder, job.state.variables(), asdict(record), keep)


def _watch_activations(job: Job) -> ActivationWatch:
    split = job.splits["validation"]
    images, names, labels = pipeline.first_of_each_class(split, job.config.data.image_size, 1)
    captions = [
        f"{split.classes[label]}: {name}" for name, label in zip(names, labels, strict=True)
    ]
    return ActivationWatch(job.state.averaged, images, captions)


def _write_introduction(job: Job, summaries: Summaries, pixels: pipeline.Pixels) -> None:
    """Writes what can be shown before the first step: samples, an augmented batch, texts."""
    config, split = job.config, job.splits["train"]
    images, names, labels = pipeline.first_of_each_class(split, config.data.image_size, 8)
    sheet = pictures.sample_sheet(images, names, split.classes, labels)
    summaries.picture("samples", "sample_sheet.png", 0, sheet)
    batch_size = config.train.batch_size
    batch = next(iter(pipeline.train_batches(pixels, config.seed, batch_size, 1)))
    originals = step.images_to_float(batch["image"])
    augmentation = augment.build(config.augment, config.augment.jit_compile)
    key = draws.key(config.seed, tf.constant(0))
    augmented = augmentation(originals, key, batch["row"], batch_size)
    picture = pictures.augmented_batch(augmented.numpy(), originals.numpy())
    summaries.picture("augmented", "augmented.png", 0, picture)
    lines: list[str] = []
    job.state.model.summary(line_length=100, print_fn=lambda line, **_: lines.append(line))
    summaries.text("model", "\n".join(lines))
    summaries.text("config", json.dumps(config.to_dict(), indent=2))
