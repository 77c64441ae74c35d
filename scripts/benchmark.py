"""Times the job against what the article used, on this machine, one after the other.

python scripts/benchmark.py --source=chest_xray_224.zip   (phantom:1200 if no source is named)

Prints pairs of figures and their ratio: the whole training with the article's network, and the
input pipeline alone. Every figure comes from a process of its own, in its default environment.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from absl import app, flags

ROOT = Path(__file__).resolve().parents[1]
SIDE, BATCH, ARTICLE_BATCH = 180, 32, 8

_SOURCE = flags.DEFINE_string("source", "phantom:1200", "what radiograph prepare reads")
_EPOCHS = flags.DEFINE_integer(
    "epochs", 3, "epochs of each training; the first, which compiles, is left out", lower_bound=2
)
_MEASURE = flags.DEFINE_string("measure", None, "takes this one figure; used by the benchmark")
_WORK = flags.DEFINE_string("work", "", "folder with the data; used by the benchmark")


def unpack(work: Path) -> dict:
    """Prepares the source for the job, and lays its images out as files for the others."""
    out = work / "data"
    prepare = (sys.executable, "-m", "trainer", "prepare", "--noaudit")
    subprocess.run([*prepare, f"--source={_SOURCE.value}", f"--out={out}"], check=True)

    from trainer.data import examples, pipeline, sources, summary_file

    source = sources.open_source(_SOURCE.value)
    records = {record.name: record for record in source.records()}
    sizes = {}
    for split in summary_file.SPLITS:
        names, _ = examples.identities(pipeline.open_split(out, split))
        sizes[split] = len(names)
        for number, record in enumerate(records[name] for name in names):
            class_name = source.classes[record.labels[0]]
            file = work / "files" / split / class_name / f"{number}.jpeg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source.read(record))
    return sizes


def train_job(work: Path) -> dict:
    """The article's recipe as the job runs it, with all that it writes."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    flags_ = {"train.epochs": _EPOCHS.value, "train.batch_size": BATCH, "data.path": work / "data"}
    subprocess.run(
        [
            *(sys.executable, "-m", "trainer.task", f"--workdir={work / 'run'}"),
            f"--config={ROOT / 'configs/article.py'}",
            *(f"--config.{name}={value}" for name, value in flags_.items()),
        ],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    events = EventAccumulator(str(work / "run/tensorboard/validation"), {"tensors": 0}).Reload()
    ends = [event.wall_time for event in events.Tensors("metrics/loss") if event.step]
    last = json.loads((work / "run/history.json").read_text())[-1]["train"]
    return {"epoch_ends": ends, "input_wait": last["input_wait"]}


def train_article(work: Path) -> dict:
    """The article's script: ImageDataGenerator and fit."""
    import keras
    from keras import layers

    train = _image_data_generator(
        work / "files/train", ARTICLE_BATCH, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
    )
    validation = _image_data_generator(work / "files/validation", ARTICLE_BATCH)
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3))])
    for filters in (16, 32, 64, 128):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.Dropout(0.3))
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile(keras.optimizers.RMSprop(1e-4), "binary_crossentropy", metrics=["accuracy"])
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.time()))
    model.fit(train, epochs=_EPOCHS.value, validation_data=validation, callbacks=[clock], verbose=0)
    return {"epoch_ends": ends}


def pipeline_host(work: Path) -> dict:
    """The job's batches with decoded pixels in memory."""
    return _job_batches(work, "host")


def pipeline_disk(work: Path) -> dict:
    """The job's batches with decoded pixels in a file, mapped into memory."""
    return _job_batches(work, "disk")


def pipeline_none(work: Path) -> dict:
    """The job's batches, read and decoded at every visit."""
    return _job_batches(work, "none")


def image_dataset_from_directory(work: Path) -> dict:
    """What Keras makes of class folders: decoded at every visit, no augmentation."""
    import keras

    batches = keras.utils.image_dataset_from_directory(
        work / "files/train", color_mode="grayscale", batch_size=BATCH, image_size=(SIDE, SIDE)
    )
    return _epochs_of(lambda: batches)


def image_data_generator(work: Path) -> dict:
    """The article's generator without its augmentation."""
    generator = _image_data_generator(work / "files/train", BATCH, color_mode="grayscale")
    return _epochs_of(lambda: itertools.islice(generator, len(generator)))


def _image_data_generator(folder: Path, batch: int, color_mode: str = "rgb", **augmentation):
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator(rescale=1 / 255, **augmentation).flow_from_directory(
        folder,
        target_size=(SIDE, SIDE),
        batch_size=batch,
        class_mode="binary",
        color_mode=color_mode,
    )


def _job_batches(work: Path, cache: str) -> dict:
    from trainer.config import schema
    from trainer.data import pipeline
    from trainer.data.pixel_cache import PixelCache

    splits = {"train": pipeline.open_split(work / "data", "train")}
    data = schema.default().data
    data.image_size, data.cache = SIDE, cache
    began = time.time()
    pixels = PixelCache(splits, data, folder=work / "pixels").pixels("train")
    filled = time.time() - began
    assert isinstance(pixels, pipeline.Pixels)  # on the host
    return {
        **_epochs_of(lambda: pipeline.train_batches(pixels, BATCH, seed=0, epochs=1)),
        "filled": filled,
    }


def _epochs_of(batches: Callable[[], Iterable]) -> dict:
    """Goes through the batches as often as asked."""
    ends: list[float] = []
    for _ in range(_EPOCHS.value):
        for _batch in batches():
            pass
        ends.append(time.time())
    return {"epoch_ends": ends}


def measured(name: str, work: Path) -> dict:
    """Runs one measure in a process of its own and returns what it found."""
    print(f"  {name} ...", end="", flush=True, file=sys.stderr)
    out = work / f"{name}.json"
    log = work / f"{name}.log"
    with log.open("w") as file:
        done = subprocess.run(
            [
                *(sys.executable, __file__, f"--measure={name}", f"--work={work}"),
                *(f"--source={_SOURCE.value}", f"--epochs={_EPOCHS.value}"),
            ],
            stdout=file,
            stderr=file,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    if done.returncode:
        mistakes = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
        print("\n" + (mistakes[-1] if mistakes else log.read_text()[-2000:]), file=sys.stderr)
        sys.exit(2)
    print(" done", file=sys.stderr)
    return json.loads(out.read_text())


def rate(found: dict, images: int) -> float:
    """Returns the median images/s of the epochs after the first."""
    pairs = itertools.pairwise(found["epoch_ends"])
    return statistics.median(images / (end - begin) for begin, end in pairs)


def main(argv: Sequence[str]) -> None:
    """Takes every figure and prints them in pairs."""
    if len(argv) > 1:
        sys.exit(f"error: unexpected argument {argv[1]!r}: use --name=value flags (--help).")
    if _MEASURE.value:
        work = Path(_WORK.value)
        found = MEASURES[_MEASURE.value](work)
        (work / f"{_MEASURE.value}.json").write_text(json.dumps(found))
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        work = Path(folder)
        images = measured("unpack", work)["train"]
        found = {name: measured(name, work) for name in MEASURES if name != "unpack"}
    print(f"\n{_SOURCE.value}: {images:,} training images, {SIDE}x{SIDE}, {os.cpu_count()} CPUs")
    print(f"{'images/s after the first epoch':<50}{'ours':>10}{'theirs':>10}{'ratio':>8}")
    for ours, theirs, what in PAIRS:
        rate_of_ours, peer = (rate(found[name], images) for name in (ours, theirs))
        print(f"{what:<50}{rate_of_ours:>10,.0f}{peer:>10,.0f}{rate_of_ours / peer:>8.2f}")
    print(f"cache=host was filled in {found['pipeline_host']['filled']:.1f} s")
    print(f"the job waited for input {found['train_job']['input_wait']:.2%} of its last epoch")


MEASURES = {
    measure.__name__: measure
    for measure in (
        *(unpack, train_article, train_job, pipeline_host, pipeline_disk, pipeline_none),
        *(image_dataset_from_directory, image_data_generator),
    )
}
PAIRS = (
    ("train_job", "train_article", f"training, batch {BATCH} : article's script, {ARTICLE_BATCH}"),
    ("pipeline_host", "image_dataset_from_directory", "cache=host : image_dataset_from_directory"),
    ("pipeline_host", "image_data_generator", "cache=host : ImageDataGenerator"),
    ("pipeline_disk", "pipeline_host", "cache=disk : cache=host (ours, too)"),
    ("pipeline_none", "image_dataset_from_directory", "cache=none : image_dataset_from_directory"),
    ("pipeline_none", "image_data_generator", "cache=none : ImageDataGenerator"),
)

if __name__ == "__main__":
    app.run(main)
