"""The configuration of a run: its defaults, read, checked, and compared with that of a run."""

import difflib
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from trainer.augment import strength
from trainer.config.fields import BLUR_REACH, CHANGEABLE, FIELDS, REMOVED, SMALLEST_IMAGES
from trainer.system import json_files
from trainer.system.errors import UsageError

LOGGER = logging.getLogger(__name__)
PARSERS: dict[type, Any] = {
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    bool: flags.BooleanParser(),
    str: flags.ArgumentParser(),
}


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
    try:
        return _from_fields(dict(fields(ConfigDict(saved))))
    except json_files.DAMAGE as error:
        raise UsageError(f"this is not the config of a run ({error!r}).") from error


def from_text(tree: Mapping[str, Any]) -> ConfigDict:
    """Returns the config whose values are texts, as flags have them; see `from_saved`.

    Args:
      tree: groups of fields.

    Raises:
      UsageError: if there is a field that no version had, or a field holds what it may not.
      Exception: one of `json_files.DAMAGE`, if there are no groups of fields.
    """
    given = fields(ConfigDict(tree))
    return _from_fields(
        {path: text if path in REMOVED else parse(path, text) for path, text in given}
    )


def _from_fields(given: dict[str, Any]) -> ConfigDict:
    config = default()
    for path in [path for path in given if path in REMOVED and path not in FIELDS]:
        warn_of_removed(path)
        del given[path]
    for path, value in given.items():
        check_field(path, value)
    config.update_from_flattened_dict(given)
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
    _check_strength(config)
    _check_image_size(config)
    if config.pretrain.method:
        _check_pretraining(config)


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
    mixed = [name for name in ("mixup", "cutmix") if config.augment[name]]
    shares = replicas * accumulate * (2 if mixed else 1)
    if batch % shares == 0:
        return
    below = batch - batch % shares
    sizes = " or ".join(str(size) for size in (below, below + shares) if size)
    parts = f" times {accumulate} parts (train.accumulate)" if accumulate > 1 else ""
    pairs = f" into pairs of images (augment.{mixed[0]})" if mixed else ""
    raise UsageError(
        f"train.batch_size={batch} does not divide by the {replicas} replicas{parts}{pairs}: give "
        f"{sizes}."
    )


def check_same_run(config: ConfigDict, saved: dict[str, Any]) -> None:
    """Raises a UsageError if `config` changes the numbers of the run that saved `saved`.

    More epochs change none of those before them, unless they stretch the schedule.
    """
    before = dict(fields(ConfigDict(saved)))
    for path, value in fields(config):
        former = before.get(path, FIELDS[path].default)  # a run may be older than a field
        if path == "train.epochs" and value > former:
            if config.schedule.name in ("constant", "exponential", "plateau"):
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


def _check_strength(config: ConfigDict) -> None:
    """Raises a UsageError if augment.strength takes a range beyond what it may be."""
    for name, value in strength.scaled(config.augment).items():
        path = f"augment.{name}"
        if not FIELDS[path].accepts(value):
            raise UsageError(
                f"augment.strength={config.augment.strength:g} makes {value:g} of "
                f"{path}={config.augment[name]:g}, where {FIELDS[path].allowed} is allowed: lower "
                "either of them."
            )


def _check_image_size(config: ConfigDict) -> None:
    """Raises a UsageError if the images are too small for the network or the augmentation."""
    size = config.data.image_size
    blur = config.augment.blur_range * config.augment.strength
    smallest = {
        f"model.name={config.model.name}": SMALLEST_IMAGES.get(config.model.name, 1),
        f"augment.blur_range={config.augment.blur_range:g}": math.ceil(BLUR_REACH * blur),
    }
    for setting, least in smallest.items():
        if size < least:
            raise UsageError(
                f"data.image_size={size} is too small for {setting}: give "
                f"--config.data.image_size={least} or more, or change {setting.split('=')[0]}."
            )


def _check_pretraining(config: ConfigDict) -> None:
    """Raises a UsageError for what makes no sense without labels, or a logit for each."""
    off = {
        "augment.mixup": (0.0, "mixes labels"),
        "augment.cutmix": (0.0, "mixes labels"),
        "evaluation.test_each_epoch": (False, "measures what is predicted"),
        "model.views": (1, "predicts from several views of an image"),
        "train.freeze_epochs": (0, "trains the last layer alone"),
        "summaries.times": (0, "draws what a network predicts"),
    }
    given = dict(fields(config))
    for path, (value, what) in off.items():
        if given[path] != value:
            raise UsageError(
                f"{path}={given[path]} {what}, which pretrain.method={config.pretrain.method} has "
                f"no use for: give --config.{path}={str(value).lower()}."
            )
    if config.pretrain.method == "byol" and not config.train.ema:
        raise UsageError(
            "pretrain.method=byol predicts what the averaged network sees, and train.ema=0 "
            "averages none: give --config.train.ema=0.99, or simsiam."
        )


def _not_allowed(path: str, value: Any) -> str:
    field, near = FIELDS[path], ""
    if isinstance(value, str) and isinstance(field.default, str):
        match = difflib.get_close_matches(value, field.choices or field.known, n=1)
        near = f"; did you mean {match[0]!r}?" if match else ""
    return f"{path}={value!r} is not allowed ({field.meaning}): give {field.allowed}{near or '.'}"
