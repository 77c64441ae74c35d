"""What the result of a run is compared with: chance, shortcuts, and published figures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from trainer.data.explanations import KINDS

METRICS = ("accuracy", "sensitivity", "specificity", "auc")
GRAMMAR = f"NAME metric=value ...; NAME ..., with metrics among {', '.join(METRICS)}"


class Reference(NamedTuple):
    """A row to compare with.

    Attributes:
      name: whose figures they are.
      about: how they were come by, in a few words; may be empty.
      values: metric -> {value, low, high}; the latter two are None where they are not known.
    """

    name: str
    about: str
    values: dict[str, Mapping[str, float | None]]


def parse(text: str) -> list[Reference]:
    """Reads published figures: `NAME metric=value ...; NAME metric=value ...`.

    Args:
      text: as in the config's `report.references`; nothing gives no reference.

    Raises:
      ValueError: one sentence that says what is wrong.
    """
    return [_parsed(part.split()) for part in text.split(";") if part.strip()]


def is_valid(text: str) -> bool:
    """Returns whether `parse` reads `text`."""
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _parsed(words: Sequence[str]) -> Reference:
    name = [word for word in words if "=" not in word]
    figures = [word for word in words if "=" in word]
    whole = " ".join(words)
    if not name or list(words) != name + figures:
        raise ValueError(f"{whole!r} must be a name and then its figures, as in 'ours auc=0.97'")
    if not figures:
        raise ValueError(f"{whole!r} has no figure: give at least one of {', '.join(METRICS)}")
    values: dict[str, Mapping[str, float | None]] = {}
    for figure in figures:
        metric, _, number = figure.partition("=")
        if metric not in METRICS or metric in values:
            wrong = "gives it twice" if metric in values else "has no such metric"
            raise ValueError(f"{whole!r} {wrong} ({metric}): give {', '.join(METRICS)}, each once")
        values[metric] = _exact(_share(number, figure))
    return Reference(" ".join(name), "published", values)


def _share(number: str, figure: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{figure!r} must be a number from 0 to 1")
    return value


def commoner_class(test: Mapping[str, Any]) -> Reference:
    """Returns what always answering the commoner class gives.

    Args:
      test: evaluation of one label.
    """
    (label,) = test["labels"].values()
    negative, positive = label["negative"], label["positive"]
    share = max(negative, positive) / max(1, negative + positive)
    calls_positive = float(positive > negative)
    values = {
        "accuracy": _exact(share),
        "sensitivity": _exact(calls_positive),
        "specificity": _exact(1 - calls_positive),
        "auc": _exact(0.5),
    }
    name = test["classes"][positive > negative]
    return Reference(f"Always “{name}”", "the commoner class of the test images", values)


def shortcut(audit: Mapping[str, Any], labels: Sequence[str]) -> Reference | None:
    """Returns how well the strongest trace of something else than the patient tells a label.

    Only traces that a network can see count, and how well they tell the test images after they
    were learnt in training, if that is known.

    Args:
      audit: see `trainer.data.audit`.
      labels: of the run.
    """
    found = [
        (relation, kind, relation["transfer"] or relation["train"] or relation["test"])
        for relation, kind in _relations(audit)
        if relation["label"] in labels and not (kind.of_file and audit["prepared"])
    ]
    if not found:
        return None
    relation, kind, auc = max(found, key=lambda of: of[2]["value"])
    about = relation["traces"]
    if len(labels) > 1:
        about += f", of {relation['label']}"
    if relation["transfer"]:
        about += "; learnt in train, judged in test"
    if kind.may_be_patient:
        about += "; it may also be the disease"
    return Reference("Shortcut, no network", about, {"auc": auc})


def _relations(audit: Mapping[str, Any]) -> Iterator[tuple[Mapping, Any]]:
    kind_of = {group: kind for kind in KINDS for group in kind.groups}
    for relation in audit["shortcuts"]["relations"]:
        if relation["traces"] in kind_of:
            yield relation, kind_of[relation["traces"]]


def _exact(value: float) -> Mapping[str, float | None]:
    return {"value": value, "low": None, "high": None}
