"""What `scripts/benchmark.py` measures of this project, each function in a process of its own."""

import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_meter import Meter

from trainer.commands.set_up import set_up

ROOT = Path(__file__).resolve().parents[1]
SIDE, BATCH = 180, 32
WAITING = "waiting for its turn"


def unpack(work: Path, source: str) -> int:
    """Prepares a source for the job, and lays its images out for the others.

    Returns:
      The number of training images.
    """
    set_up()
    out = work / "data"
    prepare = (sys.executable, "-m", "trainer", "prepare", "--noaudit")
    subprocess.run([*prepare, f"--source={source}", f"--out={out}"], check=True)

    from trainer.data import data_split, examples, pipeline, sources, summary_file

    opened = sources.open_source(source)
    records = {record.name: record for record in opened.records()}
    for split in summary_file.SPLITS:
        names, _ = examples.identities(data_split.open_split(out, split))
        for number, record in enumerate(records[name] for name in names):
            class_name = opened.classes[record.labels[0]]
            file = work / "files" / split / class_name / f"{number}.jpeg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(opened.read(record))
    images, labels = pipeline.arrays(data_split.open_split(out, "train"), SIDE, fit_mode="squash")
    np.save(work / "images.npy", images)
    np.save(work / "labels.npy", labels)
    return len(images)


def job(work: Path, meter: Meter) -> None:
    """Whole epochs of the article's recipe as the job runs it, with all that it writes.

    An epoch ends where its checkpoint is complete. Of 25 epochs ten draw pictures, as the recipe
    has it: of the second to fourth, one.
    """
    set_up()
    from trainer import train
    from trainer.show.logger import Logger
    from trainer.training.progress import Progress

    class EpochMeter(Logger):
        """Counts the images of an epoch once it is evaluated and saved."""

        def begin(self, run: Any, progress: Progress, saved: Any) -> None:
            self._run, self._at_end, self._before = run, False, dict[str, float]()

        def epoch(self, progress: Progress, validation: Any) -> None:
            self._at_end = True

        def saved(self, durations: Sequence[tuple[int, float]]) -> None:
            if not (self._at_end and durations):
                return
            self._at_end, speed = False, self._run.speed
            seconds = speed.seconds()
            spent = {name: seconds[name] - self._before.get(name, 0.0) for name in seconds}
            spent.pop(WAITING, None)
            self._before = seconds
            with speed.spent_on(WAITING):
                meter.add(self._run.data.splits["train"].size, spent=spent)

    meter.lead = 0.0
    config = _recipe(work, augmented=True)
    train.train_and_evaluate(config, work / "run", loggers=[EpochMeter()])


def bare_step(work: Path, meter: Meter) -> None:
    """A compiled step of plain Keras on a batch in memory, with nothing beside it."""
    del work
    set_up()
    import keras
    import tensorflow as tf
    from benchmark_keras import article_network

    keras.utils.set_random_seed(0)
    model, optimizer = article_network("linear"), keras.optimizers.RMSprop(1e-4)
    optimizer.build(model.trainable_variables)
    images = tf.random.uniform((BATCH, SIDE, SIDE, 3))
    labels = tf.cast(tf.random.uniform((BATCH, 1)) < 0.5, tf.float32)

    @tf.function
    def loop(steps: tf.Tensor) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(steps):
            with tf.GradientTape() as tape:
                logits = model(images, training=True)
                losses = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
        return loss

    while True:
        loop(tf.constant(8)).numpy()
        meter.add(8 * BATCH)


def loop_plain(work: Path, meter: Meter) -> None:
    """The job's training loop without augmentation, and nothing beside it."""
    _training_loop(work, meter, augmented=False)


def loop_augmented(work: Path, meter: Meter) -> None:
    """The job's training loop with the article's augmentation, and nothing beside it."""
    _training_loop(work, meter, augmented=True)


def pipeline_host(work: Path, meter: Meter) -> None:
    """The job's batches with decoded pixels in memory."""
    _job_batches(work, "host", meter)


def pipeline_disk(work: Path, meter: Meter) -> None:
    """The job's batches with decoded pixels in a file, mapped into memory."""
    _job_batches(work, "disk", meter)


def pipeline_none(work: Path, meter: Meter) -> None:
    """The job's batches, read and decoded at every visit."""
    _job_batches(work, "none", meter)


def count_batches(batches: Callable[[], Iterable], meter: Meter) -> None:
    """Goes through the batches again and again."""
    while True:
        for _batch in batches():
            meter.add(BATCH)


def _recipe(work: Path, *, augmented: bool) -> Any:
    from trainer.config import recipe

    config = recipe.read(str(ROOT / "configs/article.py"))
    config.data.path, config.train.batch_size = str(work / "data"), BATCH
    if not augmented:
        config.augment.shear_range = config.augment.zoom_range = 0.0
        config.augment.horizontal_flip = False
    return config


def _training_loop(work: Path, meter: Meter, *, augmented: bool) -> None:
    set_up()
    import tensorflow as tf
    from etils import epath

    from trainer.data.prepared_data import open_data
    from trainer.distribute.preemption import StopSignals
    from trainer.distribute.replicas import Replicas
    from trainer.system.watchdog import Watchdog
    from trainer.training import step
    from trainer.training.run import create_run

    config = _recipe(work, augmented=augmented)
    config.train.epochs = 10_000
    run = create_run(
        config,
        epath.Path(),
        epath.Path(),
        data=open_data(config.data.path),
        replicas=Replicas(tf.distribute.OneDeviceStrategy("CPU:0"), "one device"),
        signals=StopSignals(),
        watchdog=Watchdog(),
    )
    take_steps = step.train_loop(run.replicas.strategy, run.state, config)
    batches: Iterator = run.train_batches(0)
    steps = 1
    while True:
        seconds = take_steps(batches, steps).seconds
        meter.add(steps * BATCH)
        steps *= 1 if seconds > 1 else 2  # the job's loops last two seconds


def _job_batches(work: Path, cache: str, meter: Meter) -> None:
    set_up()
    from trainer.config import schema
    from trainer.data import data_split, pipeline
    from trainer.data.pixel_cache import PixelCache

    splits = {"train": data_split.open_split(work / "data", "train")}
    data = schema.default().data
    data.image_size, data.cache = SIDE, cache
    pixels = PixelCache(splits, data, folder=work / "pixels").pixels("train")
    assert isinstance(pixels, pipeline.Pixels)  # on the host
    count_batches(lambda: pipeline.train_batches(pixels, BATCH, seed=0, epochs=1000), meter)
