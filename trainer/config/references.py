"""Published figures to compare a run with, as the field `report.references` gives them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

METRICS = ("accuracy", "sensitivity", "specificity", "auc")
GRAMMAR = f"NAME metric=value ...; NAME ..., with metrics among {', '.join(METRICS)}"


class Reference(NamedTuple):
    """A row to compare with.

    Attributes:
      name: of the method or the paper.
      about: how the figures were obtained, in a few words; may be empty.
      values: metric -> {value, low, high}; low and high are None where they are not known.
    """

    name: str
    about: str
    values: dict[str, Mapping[str, float | None]]


def parse(text: str) -> list[Reference]:
    """Reads published figures: `NAME metric=value ...; NAME metric=value ...`.

    Args:
      text: as in the config's `report.references`; may be empty.

    Raises:
      ValueError: with one sentence that says what is wrong.
    """
    return [_parse_one(part.split()) for part in text.split(";") if part.strip()]


def is_valid(text: str) -> bool:
    """Returns whether `parse` accepts `text`."""
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _parse_one(words: Sequence[str]) -> Reference:
    name = [word for word in words if "=" not in word]
    figures = [word for word in words if "=" in word]
    text = " ".join(words)
    if not name or list(words) != name + figures:
        raise ValueError(f"{text!r} must be a name and then its figures, as in 'ours auc=0.97'")
    if not figures:
        raise ValueError(f"{text!r} has no figure: give at least one of {', '.join(METRICS)}")
    values: dict[str, Mapping[str, float | None]] = {}
    for figure in figures:
        metric, _, number = figure.partition("=")
        if metric not in METRICS or metric in values:
            mistake = "gives it twice" if metric in values else "has no such metric"
            raise ValueError(f"{text!r} {mistake} ({metric}): give {', '.join(METRICS)}, each once")
        values[metric] = without_interval(_fraction(number, figure))
    return Reference(" ".join(name), "published", values)


def _fraction(number: str, figure: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{figure!r} must be a number from 0 to 1")
    return value


def without_interval(value: float) -> Mapping[str, float | None]:
    """Returns a value whose confidence interval is not known."""
    return {"value": value, "low": None, "high": None}
