"""The configuration of a run: every field, its default, its meaning, and what it may hold."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from trainer.config import references
from trainer.system.errors import UsageError


@dataclass(frozen=True)
class Field:
    """One field: its default, what it means, and which values it may hold."""

    default: Any
    meaning: str
    allowed: str
    accepts: Callable[[Any], bool]


def _one_of(default: Any, meaning: str, *choices: Any) -> Field:
    allowed = ", ".join(map(str, choices))
    return Field(default, meaning, f"one of {allowed}", lambda v: v in choices)


def _number(
    default: float, meaning: str, low: float, high: float | None = None, below: bool = False
) -> Field:
    kind = "a whole number" if isinstance(default, int) else "a number"
    if high is None:
        return Field(default, meaning, f"{kind} of at least {low}", lambda v: low <= v < 1e300)
    if below:
        return Field(
            default, meaning, f"{kind} from {low} to below {high}", lambda v: low <= v < high
        )
    return Field(default, meaning, f"{kind} from {low} to {high}", lambda v: low <= v <= high)


def _positive(default: float, meaning: str) -> Field:
    return Field(default, meaning, "a number above 0", lambda v: 0 < v < 1e300)


def _switch(default: bool, meaning: str) -> Field:
    return Field(default, meaning, "true or false", lambda v: isinstance(v, bool))


def _text(
    default: str, meaning: str, allowed: str = "a text", accepts: Callable[[str], bool] = bool
) -> Field:
    return Field(default, meaning, allowed, lambda v: isinstance(v, str) and (not v or accepts(v)))


def _is_range(steps: str) -> bool:
    begin, _, end = steps.partition(",")
    return begin.isdecimal() and end.isdecimal() and int(begin) < int(end)


FIELDS: dict[str, Field] = {
    "name": _text("resnet", "what the run is called in the report"),
    "seed": _number(0, "seed of the initial weights, the order and every draw", 0, 2**31 - 1),
    "precision": _one_of(
        "float32", "arithmetic of the layers", "float32", "mixed_bfloat16", "mixed_float16"
    ),
    "data.path": _text("", "prepared data set, the --out of trainer prepare"),
    "data.image_size": _number(
        180, "side of the square that images are fitted to, pixels", 16, 4096
    ),
    "data.fit": _one_of("squash", "how an image fits the square", "squash", "pad", "crop"),
    "data.cache": _one_of("host", "where decoded pixels live", "host", "none"),
    "augment.rotation_range": _number(0.0, "largest rotation, degrees", 0, 180),
    "augment.width_shift_range": _number(0.0, "largest shift, fraction of the width", 0, 1),
    "augment.height_shift_range": _number(0.0, "largest shift, fraction of the height", 0, 1),
    "augment.shear_range": _number(0.0, "largest shear angle, degrees", 0, 89),
    "augment.zoom_range": _number(0.0, "zoom of each axis from 1-z to 1+z", 0, 1, below=True),
    "augment.horizontal_flip": _switch(False, "flips every second image, left to right"),
    "augment.vertical_flip": _switch(False, "flips every second image, upside down"),
    "augment.fill_mode": _one_of(
        "nearest", "what is beyond the border", "nearest", "reflect", "constant"
    ),
    "augment.cval": _number(0.0, "grey beyond the border when constant, 0 to 1", 0, 1),
    "augment.brightness_range": _number(0.0, "largest change, fraction of full scale", 0, 1),
    "augment.contrast_range": _number(0.0, "contrast factor from 1-r to 1+r", 0, 1),
    "augment.gamma_range": _number(0.0, "gamma from 1/(1+r) to 1+r", 0, 10),
    "augment.blur_range": _number(0.0, "largest standard deviation of blur, pixels", 0, 16),
    "augment.noise_range": _number(0.0, "largest standard deviation of noise, full scale", 0, 1),
    "augment.compression_range": _number(
        0.0, "largest loss of JPEG quality: from 100-r to 100", 0, 99
    ),
    "augment.jit_compile": _switch(True, "compiles the augmentation with XLA"),
    "model.name": _one_of("resnet", "network", "article", "resnet"),
    "model.channels": _one_of(1, "colour channels the network takes; grey is repeated", 1, 3),
    "model.width": _number(16, "filters of the first stage (resnet)", 1, 1024),
    "model.stages": _number(
        4, "stages, each of half the side and twice the filters (resnet)", 1, 8
    ),
    "model.blocks": _number(1, "residual blocks a stage (resnet)", 1, 64),
    "model.dropout": _number(0.0, "share of features dropped before the output", 0, 1, below=True),
    "train.epochs": _number(20, "passes over the training set", 1, 100_000),
    "train.batch_size": _number(32, "images a step, over all replicas", 1, 1_000_000),
    "train.accumulate": _number(
        1, "parts that a step is computed in, one after the other", 1, 1024
    ),
    "train.ema": _number(0.0, "momentum of the averaged weights; 0 is off", 0, 1, below=True),
    "optimizer.name": _one_of("adamw", "optimizer", "adam", "adamw", "rmsprop", "sgd"),
    "optimizer.learning_rate": _positive(1e-3, "peak learning rate"),
    "optimizer.weight_decay": _number(0.0, "decoupled weight decay", 0, 10),
    "optimizer.clip_norm": _number(0.0, "largest global gradient norm; 0 is off", 0),
    "schedule.name": _one_of("constant", "learning rate over time", "constant", "cosine"),
    "schedule.warmup_epochs": _number(0.0, "linear warm-up, epochs", 0),
    "loss.label_smoothing": _number(
        0.0, "share of the label spread over both classes", 0, 1, below=True
    ),
    "loss.class_weights": _one_of("none", "weight of a class in the loss", "none", "balanced"),
    "distribute.strategy": _one_of(
        "auto",
        "how replicas are laid out",
        *("auto", "one_device", "mirrored", "multi_worker", "tpu"),
    ),
    "distribute.tpu": _text("local", "the TPU: local on a TPU VM, else its name"),
    "distribute.cpu_devices": _number(
        0, "logical CPU devices to make; 0 uses what is there", 0, 64
    ),
    "summaries.times": _number(
        10, "epochs after which pictures and histograms are drawn; 0 is none", 0, 100_000
    ),
    "summaries.channels": _number(16, "channels of a layer shown, the most active", 1, 4096),
    "summaries.examples": _number(1, "fixed examples of each class looked at", 1, 4),
    "summaries.errors": _number(8, "most confident errors of each kind shown", 1, 8),
    "summaries.colour_map": _one_of("grey", "colours of activations and heat", "grey", "viridis"),
    "profile.steps": _text(
        "", "steps that are traced", "two steps A,B with A below B, or nothing", _is_range
    ),
    "report.references": _text(
        "", "published figures to compare with", references.GRAMMAR, references.is_valid
    ),
    "checkpoint.keep": _number(3, "newest checkpoints kept", 1),
    "checkpoint.every_steps": _number(0, "steps between checkpoints; 0 is once an epoch", 0),
}

# What may change when a run is taken up again: it moves no number of the run, but for the
# precision, which moves them by its rounding and is there for a machine that has no other.
CHANGEABLE = (
    "precision",
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
    "checkpoint.every_steps",
    "distribute.strategy",
    "distribute.tpu",
    "distribute.cpu_devices",
)


def default() -> ConfigDict:
    """Returns every field at its default, locked: a config file changes values, not names."""
    tree: dict[str, Any] = {}
    for path, field in FIELDS.items():
        *groups, leaf = path.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = field.default
    return ConfigDict(tree).lock()


def fields(config: ConfigDict) -> Iterator[tuple[str, Any]]:
    """Yields (dotted path, value) of every field."""
    for path, value in config.items(preserve_field_references=False):
        if isinstance(value, ConfigDict):
            yield from ((f"{path}.{leaf}", v) for leaf, v in fields(value))
        else:
            yield path, value


def check(config: ConfigDict) -> None:
    """Raises a UsageError that names the first field holding what it may not."""
    given = dict(fields(config))
    for path in given:
        if path not in FIELDS:
            raise UsageError(_unknown(path))
    for path in FIELDS:
        if path not in given:
            raise UsageError(
                f"{path} is missing from the config: start from trainer.config.schema.default()."
            )
        check_field(path, given[path])


def check_field(path: str, value: Any) -> None:
    """Raises a UsageError if there is no field `path`, or it may not hold `value`."""
    if path not in FIELDS:
        raise UsageError(_unknown(path))
    if not _holds(FIELDS[path], value):
        raise UsageError(_not_allowed(path, value))


def check_text(path: str, text: str | None) -> None:
    """Raises a UsageError if there is no field `path`, or it may not hold what `text` says."""
    if path not in FIELDS:
        raise UsageError(_unknown(path))
    if text is not None and not _holds(FIELDS[path], _read(FIELDS[path], text)):
        raise UsageError(_not_allowed(path, text))


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
    """Raises a UsageError if `config` would change the numbers of the run that `saved` began."""
    before = dict(fields(ConfigDict(saved)))
    for path, value in fields(config):
        began = before.get(path, FIELDS[path].default)  # a run may be older than a field
        if path not in CHANGEABLE and began != value:
            raise UsageError(
                f"this work directory was begun with {path}={began!r}, not {value!r}: "
                f"name another --workdir, or give --config.{path}={began} to go on."
            )


def _holds(field: Field, value: Any) -> bool:
    kinds = {int: int, float: (int, float), str: str, bool: bool}[type(field.default)]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        return False
    return field.accepts(value)


def _read(field: Field, text: str) -> Any:
    """Returns the value that absl will read from `text`, or None where it will not."""
    parsers = {int: flags.IntegerParser(), float: flags.FloatParser(), bool: flags.BooleanParser()}
    parser = parsers.get(type(field.default), flags.ArgumentParser())
    try:
        return parser.parse(text)
    except ValueError:
        return None


def _unknown(path: str) -> str:
    near = difflib.get_close_matches(path, FIELDS, n=1, cutoff=0.0)[0]
    leaf = difflib.get_close_matches(path.split(".")[-1], [p.split(".")[-1] for p in FIELDS], n=1)
    if leaf:
        near = next(p for p in FIELDS if p.split(".")[-1] == leaf[0])
    return f"the config has no field {path!r}: did you mean {near!r} ({FIELDS[near].meaning})?"


def _not_allowed(path: str, value: Any) -> str:
    field = FIELDS[path]
    near = ""
    if isinstance(value, str) and field.allowed.startswith("one of"):
        choices = field.allowed.removeprefix("one of ").split(", ")
        match = difflib.get_close_matches(value, choices, n=1)
        near = f"; did you mean {match[0]!r}?" if match else ""
    return f"{path}={value!r} is not allowed ({field.meaning}): give {field.allowed}{near or '.'}"
