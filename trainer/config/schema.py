"""The configuration of a run: every field, its default, its meaning, and what it may hold."""

import difflib
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from trainer.config import references
from trainer.config.field import Field
from trainer.system import json_files
from trainer.system.errors import UsageError

LOGGER = logging.getLogger(__name__)
PARSERS: dict[type, Any] = {
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    bool: flags.BooleanParser(),
    str: flags.ArgumentParser(),
}

SMALLEST_IMAGES = {"article": 46}  # sides that leave a pixel after each layer
BLUR_REACH = 3  # standard deviations; a border that is mirrored has to be that wide


def _is_range(steps: str) -> bool:
    begin, _, end = steps.partition(",")
    return begin.isdecimal() and end.isdecimal() and int(begin) < int(end)


FIELDS: dict[str, Field] = {
    "name": Field("resnet", "name of the run in the report"),
    "seed": Field(
        0,
        "seed of the initial weights, the order of images and augmentation",
        low=0,
        high=2**31 - 1,
    ),
    "precision": Field(
        "float32",
        "arithmetic of the layers",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
    ),
    "data.path": Field("", "prepared data set, the --out of radiograph prepare"),
    "data.image_size": Field(
        180, "side of the square that images are fitted to, pixels", low=16, high=4096
    ),
    "data.fit": Field("squash", "how an image fits the square", choices=("squash", "pad", "crop")),
    "data.cache": Field(
        "auto",
        "where decoded pixels are kept: auto in memory if they fit",
        choices=("auto", "host", "none"),
    ),
    "augment.rotation_range": Field(0.0, "largest rotation, degrees", low=0, high=180),
    "augment.width_shift_range": Field(0.0, "largest shift, fraction of the width", low=0, high=1),
    "augment.height_shift_range": Field(
        0.0, "largest shift, fraction of the height", low=0, high=1
    ),
    "augment.shear_range": Field(0.0, "largest shear angle, degrees", low=0, high=89),
    "augment.zoom_range": Field(0.0, "zoom of each axis from 1-z to 1+z", low=0, below=1),
    "augment.horizontal_flip": Field(False, "flips every second image, left to right"),
    "augment.vertical_flip": Field(False, "flips every second image, upside down"),
    "augment.fill_mode": Field(
        "nearest", "pixels beyond the border", choices=("nearest", "reflect", "constant")
    ),
    "augment.cval": Field(0.0, "grey beyond the border when constant, 0 to 1", low=0, high=1),
    "augment.brightness_range": Field(0.0, "largest change, fraction of full scale", low=0, high=1),
    "augment.contrast_range": Field(0.0, "contrast factor from 1-r to 1+r", low=0, high=1),
    "augment.gamma_range": Field(0.0, "gamma from 1/(1+r) to 1+r", low=0, high=10),
    "augment.blur_range": Field(0.0, "largest standard deviation of blur, pixels", low=0, high=16),
    "augment.noise_range": Field(
        0.0, "largest standard deviation of noise, full scale", low=0, high=1
    ),
    "augment.compression_range": Field(
        0.0, "largest loss of JPEG quality: from 100-r to 100", low=0, high=99
    ),
    "augment.jit_compile": Field(True, "compiles the augmentation with XLA"),
    "model.name": Field("resnet", "architecture", choices=("article", "resnet")),
    "model.channels": Field(1, "input channels of the network; grey is repeated", choices=(1, 3)),
    "model.width": Field(16, "filters of the first stage (resnet)", low=1, high=1024),
    "model.stages": Field(
        4, "stages, each of half the side and twice the filters (resnet)", low=1, high=8
    ),
    "model.blocks": Field(1, "residual blocks per stage (resnet)", low=1, high=64),
    "model.dropout": Field(0.0, "fraction of features dropped before the output", low=0, below=1),
    "train.epochs": Field(20, "passes over the training set", low=1, high=100_000),
    "train.batch_size": Field(32, "images per step, over all replicas", low=1, high=1_000_000),
    "train.accumulate": Field(
        1, "parts that a step is computed in, one after the other", low=1, high=1024
    ),
    "train.hang_minutes": Field(
        10.0, "minutes of a training loop that end the run as hanging; 0 is none", low=0
    ),
    "train.ema": Field(0.0, "momentum of the averaged weights; 0 is off", low=0, below=1),
    "train.jit": Field(
        "auto",
        "compiles the whole step with XLA: auto on a single GPU",
        choices=("auto", "on", "off"),
    ),
    "train.deterministic": Field(
        False, "takes only kernels that give the same bits each time, also on GPUs; slower"
    ),
    "optimizer.name": Field("adamw", "optimizer", choices=("adam", "adamw", "rmsprop", "sgd")),
    "optimizer.learning_rate": Field(1e-3, "peak learning rate", above=0),
    "optimizer.weight_decay": Field(0.0, "decoupled weight decay", low=0, high=10),
    "optimizer.clip_norm": Field(0.0, "largest global gradient norm; 0 is off", low=0, high=1e30),
    "schedule.name": Field("constant", "learning rate over time", choices=("constant", "cosine")),
    "schedule.warmup_epochs": Field(0.0, "linear warm-up, epochs", low=0, high=100_000),
    "loss.name": Field(
        "auto",
        "outputs: softmax is of classes that exclude one another; auto follows the data",
        choices=("auto", "sigmoid", "softmax"),
    ),
    "loss.label_smoothing": Field(
        0.0, "fraction of the label spread over all classes", low=0, below=1
    ),
    "loss.class_weights": Field(
        "none", "weight of a class in the loss", choices=("none", "balanced")
    ),
    "distribute.strategy": Field(
        "auto",
        "how replicas are laid out",
        choices=("auto", "one_device", "mirrored", "multi_worker", "tpu"),
    ),
    "distribute.tpu": Field("local", "the TPU: local on a TPU VM, else its name"),
    "distribute.cpu_devices": Field(
        0, "logical CPU devices to make; 0: as many as there are", low=0, high=64
    ),
    "summaries.times": Field(
        10,
        "epochs after which pictures and histograms are drawn; 0 is none",
        low=0,
        high=100_000,
    ),
    "summaries.channels": Field(16, "most active channels shown of a layer", low=1, high=4096),
    "summaries.examples": Field(1, "fixed examples shown of each class", low=1, high=4),
    "summaries.errors": Field(8, "worst errors of each kind shown", low=1, high=8),
    "summaries.colour_map": Field(
        "grey", "colours of activations and filters", choices=("grey", "viridis")
    ),
    "profile.steps": Field(
        "",
        "steps that are traced",
        form="two steps A,B with A below B, or nothing",
        has_form=_is_range,
    ),
    "report.references": Field(
        "",
        "published figures to compare with",
        form=references.GRAMMAR,
        has_form=references.is_valid,
    ),
    "checkpoint.keep": Field(3, "newest checkpoints kept", low=1),
    "checkpoint.every_minutes": Field(
        15.0, "minutes between checkpoints within an epoch; 0 is none", low=0
    ),
    "checkpoint.every_steps": Field(
        0, "steps between checkpoints within an epoch; 0 is none", low=0
    ),
}

# Fields that may change when a run is resumed. None changes a number of the run, except for the
# first two, which change them by rounding and may have to suit another machine.
CHANGEABLE = (
    "precision",
    "train.jit",
    "data.path",
    "data.cache",
    "summaries.times",
    "summaries.channels",
    "summaries.examples",
    "summaries.errors",
    "summaries.colour_map",
    "profile.steps",
    "report.references",
    "checkpoint.keep",
    "checkpoint.every_minutes",
    "checkpoint.every_steps",
    "train.hang_minutes",
    "distribute.strategy",
    "distribute.tpu",
    "distribute.cpu_devices",
)


# Fields of earlier versions, which are ignored with a warning, and what became of them.
REMOVED = {"summaries.time_share": "pictures are drawn at the same epochs in every run"}


def default() -> ConfigDict:
    """Returns every field at its default, locked: a config file changes values, not names."""
    tree: dict[str, Any] = {}
    for path, field in FIELDS.items():
        *groups, leaf = path.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[leaf] = field.default
    return ConfigDict(tree).lock()


def from_saved(saved: Mapping[str, Any]) -> ConfigDict:
    """Returns the config of a run that was saved, maybe by an earlier version.

    Fields that it lacks have their default; those of `REMOVED` are ignored with a warning.

    Args:
      saved: the content of a config.json.

    Raises:
      UsageError: if there is a field that no version had, or a field holds what it may not.
    """
    config = default()
    try:
        given = dict(fields(ConfigDict(saved)))
        for path in [path for path in given if path in REMOVED and path not in FIELDS]:
            warn_of_removed(path)
            del given[path]
        for path, value in given.items():
            check_field(path, value)
        config.update_from_flattened_dict(given)
    except json_files.DAMAGE as error:
        raise UsageError(f"this is not the config of a run ({error!r}).") from error
    return config


def warn_of_removed(path: str) -> None:
    """Logs that a field of an earlier version is ignored."""
    LOGGER.warning("%s is ignored: %s.", path, REMOVED[path])


def fields(config: ConfigDict) -> Iterator[tuple[str, Any]]:
    """Yields (dotted path, value) of every field."""
    for path, value in config.items(preserve_field_references=False):
        if isinstance(value, ConfigDict):
            yield from ((f"{path}.{leaf}", v) for leaf, v in fields(value))
        else:
            yield path, value


def check(config: ConfigDict) -> None:
    """Raises a UsageError that names the first field with a value that is not allowed."""
    given = dict(fields(config))
    for path in given:
        if path not in FIELDS:
            raise UsageError(unknown(path))
    for path in FIELDS:
        if path not in given:
            raise UsageError(
                f"{path} is missing from the config: start from trainer.config.schema.default()."
            )
        check_field(path, given[path])
    _check_image_size(config)


def check_field(path: str, value: Any) -> None:
    """Raises a UsageError if there is no field `path`, or it may not hold `value`."""
    if path not in FIELDS:
        raise UsageError(unknown(path))
    if not FIELDS[path].accepts(value):
        raise UsageError(_not_allowed(path, value))


def parse(path: str, text: str) -> Any:
    """Returns the value of field `path` that `text` stands for, as in --config.PATH=TEXT.

    Raises:
      UsageError: if there is no such field, or it may not hold that.
    """
    if path not in FIELDS:
        raise UsageError(unknown(path))
    field = FIELDS[path]
    try:
        value = PARSERS[type(field.default)].parse(text)
    except ValueError:
        value = None
    if value is None or not field.accepts(value):
        raise UsageError(_not_allowed(path, text))
    return value


def unknown(path: str) -> str:
    """Returns the sentence that refuses a field which does not exist, with the closest one."""
    near = difflib.get_close_matches(path, FIELDS, n=1, cutoff=0.0)[0]
    leaf = difflib.get_close_matches(path.split(".")[-1], [p.split(".")[-1] for p in FIELDS], n=1)
    if leaf:
        near = next(p for p in FIELDS if p.split(".")[-1] == leaf[0])
    return f"the config has no field {path!r}: did you mean {near!r} ({FIELDS[near].meaning})?"


def check_global_batch(config: ConfigDict, replicas: int) -> None:
    """Raises a UsageError unless each replica gets an equal share of the global batch."""
    batch, accumulate = config.train.batch_size, config.train.accumulate
    shares = replicas * accumulate
    if batch % shares == 0:
        return
    below = batch - batch % shares
    sizes = " or ".join(str(size) for size in (below, below + shares) if size)
    parts = f" times {accumulate} parts (train.accumulate)" if accumulate > 1 else ""
    raise UsageError(
        f"train.batch_size={batch} does not divide by the {replicas} replicas{parts}: give {sizes}."
    )


def check_same_run(config: ConfigDict, saved: dict[str, Any]) -> None:
    """Raises a UsageError if `config` changes the numbers of the run that saved `saved`.

    More epochs change none of those before them, at a constant learning rate.
    """
    before = dict(fields(ConfigDict(saved)))
    for path, value in fields(config):
        former = before.get(path, FIELDS[path].default)  # a run may be older than a field
        if path == "train.epochs" and value > former:
            if config.schedule.name == "constant":
                continue  # the steps are those of the longer run, but for a last batch cut short
            raise UsageError(
                f"this work directory was begun with train.epochs={former}, over which "
                f"schedule.name={config.schedule.name} lowers the learning rate, so that {value} "
                "would have taken other steps from the first on: begin a new run in another "
                "--workdir."
            )
        if path not in CHANGEABLE and former != value:
            raise UsageError(
                f"this work directory was begun with {path}={former!r}, not {value!r}: "
                f"name another --workdir, or give --config.{path}={former} to go on."
            )


def _check_image_size(config: ConfigDict) -> None:
    """Raises a UsageError if the images are too small for the network or the augmentation."""
    size, blur = config.data.image_size, config.augment.blur_range
    smallest = {
        f"model.name={config.model.name}": SMALLEST_IMAGES.get(config.model.name, 1),
        f"augment.blur_range={blur:g}": math.ceil(BLUR_REACH * blur),
    }
    for setting, least in smallest.items():
        if size < least:
            raise UsageError(
                f"data.image_size={size} is too small for {setting}: give "
                f"--config.data.image_size={least} or more, or change {setting.split('=')[0]}."
            )


def _not_allowed(path: str, value: Any) -> str:
    field, near = FIELDS[path], ""
    if isinstance(value, str) and isinstance(field.default, str):
        match = difflib.get_close_matches(value, field.choices, n=1)
        near = f"; did you mean {match[0]!r}?" if match else ""
    return f"{path}={value!r} is not allowed ({field.meaning}): give {field.allowed}{near or '.'}"
