"""A sweep: the fields of a config that vary, and the values that they may take.

A recipe defines it beside get_config():

  from trainer.tuning.search_space import choice, integer, log_uniform, uniform

  def sweep():
      return {
          "optimizer.learning_rate": log_uniform(1e-4, 1e-2),
          "model.dropout": uniform(0.0, 0.5),
          "model.blocks": integer(1, 3),
          "train.batch_size": choice(16, 32, 64),
      }
"""

import math
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from etils import epath, epy

from trainer.config import recipe, schema
from trainer.config.field import Field
from trainer.config.fields import CHANGEABLE, FIELDS
from trainer.system.errors import UsageError

with epy.lazy_imports():
    import optuna

EXAMPLE = (
    'def sweep(): return {"optimizer.learning_rate": log_uniform(1e-4, 1e-2)}, with '
    "log_uniform, uniform, integer or choice of trainer.tuning.search_space"
)
DIGITS = 4  # of a number that is tried, which is as precise as anybody can compare


@dataclass(frozen=True)
class Range:
    """The values that a field may take.

    Attributes:
      kind: log_uniform, uniform, integer or choice.
      values: the lowest and the highest, or all of a choice.
    """

    kind: str
    values: tuple

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.values))})"

    def contains(self, value: Any) -> bool:
        """Returns whether a value is one of these."""
        if self.kind == "choice":
            return value in self.values
        return self.values[0] <= value <= self.values[1]

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """Returns these values as Optuna draws from them."""
        if self.kind == "choice":
            return optuna.distributions.CategoricalDistribution(self.values)
        low, high = self.values
        if self.kind == "integer":
            return optuna.distributions.IntDistribution(low, high)
        return optuna.distributions.FloatDistribution(low, high, log=self.kind == "log_uniform")

    def suggest(self, trial: "optuna.Trial", name: str) -> Any:
        """Returns the value that a trial of Optuna's is to try, a number with `DIGITS` digits."""
        if self.kind == "choice":
            return trial.suggest_categorical(name, self.values)
        low, high = self.values
        if self.kind == "integer":
            return trial.suggest_int(name, low, high)
        value = trial.suggest_float(name, low, high, log=self.kind == "log_uniform")
        return min(max(float(f"{value:.{DIGITS}g}"), float(low)), float(high))


Sweep = Mapping[str, Range]  # dotted path of a field -> its values


def log_uniform(low: float, high: float) -> Range:
    """Numbers whose logarithm is uniform, for fields tried by factors such as a learning rate."""
    return Range("log_uniform", (low, high))


def uniform(low: float, high: float) -> Range:
    """Numbers, all equally likely."""
    return Range("uniform", (low, high))


def integer(low: int, high: int) -> Range:
    """Whole numbers, both ends included."""
    return Range("integer", (low, high))


def choice(*values: float | int | str | bool) -> Range:
    """One of some values."""
    return Range("choice", values)


def read(config_file: epath.PathLike) -> Sweep:
    """Returns the sweep that `sweep()` of a recipe, a file or a name, defines.

    Raises:
      UsageError: if the recipe has none, or it cannot be used.
    """
    file = recipe.path_of(str(config_file))
    if not file.endswith(".py"):
        raise UsageError(
            f"{config_file} has no sweep(): give as --config a Python recipe with {EXAMPLE}."
        )
    try:
        define = runpy.run_path(file).get("sweep")
        sweep = define() if define else None
    except Exception as error:  # whatever a user's file may raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UsageError(f"sweep() of {config_file} cannot be read ({reason}).") from error
    if not define:
        raise UsageError(f"{config_file} has no sweep(): add {EXAMPLE}.")
    if not isinstance(sweep, Mapping) or not sweep:
        raise UsageError(f"sweep() of {config_file} returns {sweep!r}, no ranges: write {EXAMPLE}.")
    try:
        check(sweep)
    except UsageError as error:
        raise UsageError(f"sweep() of {config_file}: {error}") from None
    return sweep


def check(sweep: Sweep) -> None:
    """Raises a UsageError that names the first field which cannot vary like that."""
    for path, values in sweep.items():
        if not isinstance(values, Range):
            raise UsageError(
                f"{path!r} has {values!r}: give log_uniform(low, high), uniform(low, high), "
                "integer(low, high) or choice(value, value, ...)."
            )
        for value in values.values:
            schema.check_field(str(path), value)
        if path == "name" or path in CHANGEABLE:
            raise UsageError(
                f"{path} cannot be varied, since runs are not compared by it: leave it out."
            )
        if mistake := _mistake(FIELDS[path], values):
            raise UsageError(f"{path} has {values}, but {mistake}.")


def described(sweep: Sweep) -> dict[str, str]:
    """Returns the ranges as they are written in a recipe, by field."""
    return {path: str(sweep[path]) for path in sorted(sweep)}


def _mistake(field: Field, values: Range) -> str | None:
    """Returns why a field cannot vary over values that it may hold, or None if it can."""
    if values.kind == "choice":
        if len(set(values.values)) < max(len(values.values), 2):
            return "a choice takes two values or more, each once"
        return None
    if field.choices or isinstance(field.default, str | bool):
        return f"it holds {field.allowed}: give choice(value, value, ...)"
    low, high = values.values
    if values.kind == "integer":
        if not (isinstance(low, int) and isinstance(high, int)):
            return "the ends of integer() are whole numbers"
    elif isinstance(field.default, int):
        return "it holds whole numbers: give integer(low, high) or choice(value, value, ...)"
    if not low < high or not math.isfinite(high - low):
        return "the first number must be below the second"
    if values.kind == "log_uniform" and low <= 0:
        return "log_uniform() starts above 0: give uniform(low, high)"
    return None
