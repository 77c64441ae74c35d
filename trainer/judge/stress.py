"""How a network's figures change where the same radiographs are encoded or taken otherwise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.judge.alterations import ALTERATIONS, Alteration
from trainer.metrics import bootstrap, classification
from trainer.metrics.bootstrap import Resamples
from trainer.training.evaluation_loop import View, unchanged

FIGURES = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
Figures = dict[str, np.ndarray]  # by name: [1 + resamples], as `Resamples.measure` orders them


class Decided(NamedTuple):
    """Log-odds of all images, and the labels that are predicted at the run's threshold.

    Attributes:
      logits: [n, K] float.
      decisions: [n, K] bool.
    """

    logits: np.ndarray
    decisions: np.ndarray


def stress(
    score: Callable[[View], Decided],
    values: np.ndarray,
    patients: Sequence[str],
    *,
    labels: Sequence[str] = (),
    seed: int = 0,
    alterations: Iterable[Alteration] = ALTERATIONS,
) -> dict[str, Any]:
    """Returns the figures of a network for images as they are, and for the same images altered.

    Args:
      score: scores all images, seen through a view.
      values: [n, K] of the labels: 1, 0, or negative where it is not known.
      patients: [n] patient of each image.
      labels: names of the labels; several are shown each.
      seed: of the bootstrap.
      alterations: that are tried, each at all its strengths.

    Returns:
      `unchanged`: AUC, sensitivity and specificity, each {value, low, high}; of several labels
      their means. `altered`: for each alteration and strength the same, and in `change` by how
      much each is above that of the unchanged images, on the same resamples of the patients; of
      several labels also `labels`: {label: {figure: that change}}. `sentence`: what hurts most.
    """
    resamples = Resamples(patients, seed)
    clean = _figures(score(unchanged), values, resamples)
    rows = []
    for alteration in alterations:
        for strength in alteration.strengths:
            by_label = _figures(score(alteration.view(strength)), values, resamples)
            changes = [_less(*pair) for pair in zip(by_label, clean, strict=True)]
            row = {
                "name": alteration.described(strength),
                "strength": strength,
                "encoding": alteration.encoding,
                **_intervals(_mean(by_label)),
                "change": _intervals(_less(_mean(by_label), _mean(clean))),
            }
            if len(labels) > 1:
                row["labels"] = dict(zip(labels, map(_intervals, changes), strict=True))
            rows.append(row)
    content = {"unchanged": _intervals(_mean(clean)), "altered": rows}
    return content | {"sentence": sentence(content)}


def sentence(content: Mapping[str, Any]) -> str:
    """Returns what hurts most, and whether it hurts to change the encoding alone.

    Args:
      content: of `stress`.
    """
    rows = [row for row in content["altered"] if row["change"]["auc"]["value"] is not None]
    if not rows:
        return "The AUC is not defined for these images, so nothing can be said of alterations."
    fallen = [row for row in rows if _falls(row)]
    if not fallen:
        return "No alteration lowers the AUC by more than chance."
    worst = min(fallen, key=_change)
    text = (
        f"The AUC falls most on images {worst['name']}: by {_fall(worst)}, from "
        f"{content['unchanged']['auc']['value']:.3f} to {worst['auc']['value']:.3f}. "
    )
    text += _at_threshold(content)
    encoded = [row for row in fallen if row["encoding"]]
    if encoded:
        row = min(encoded, key=_change)
        return text + (
            f"The AUC also falls by {_fall(row)} where images are only {row['name']}, which no "
            "reader would see: that much was a shortcut."
        )
    return text + "Encoding the images otherwise does not lower the AUC by more than chance."


def _at_threshold(content: Mapping[str, Any]) -> str:
    """Returns which of sensitivity and specificity falls most, "" if neither does."""
    falls = [
        (row["change"][name]["value"], name, row)
        for name in ("sensitivity", "specificity")
        for row in content["altered"]
        if row["change"][name]["value"] is not None and row["change"][name]["high"] < 0
    ]
    if not falls:
        return ""
    _, name, row = min(falls, key=lambda fall: fall[0])
    before, after = content["unchanged"][name]["value"], row[name]["value"]
    return (
        f"At the run's threshold the {name} of images {row['name']} falls most, from "
        f"{before:.3f} to {after:.3f}. "
    )


def _figures(decided: Decided, values: np.ndarray, resamples: Resamples) -> list[Figures]:
    """Returns the figures of each label, of all images and of each resample."""
    return [
        _label_figures(*columns, resamples=resamples)
        for columns in zip(decided.logits.T, decided.decisions.T, values.T, strict=True)
    ]


def _less(figures: Figures, clean: Figures) -> Figures:
    return {name: figures[name] - clean[name] for name in FIGURES}


def _mean(by_label: Sequence[Figures]) -> Figures:
    """Returns the means over the labels of each figure."""
    return {
        name: bootstrap.mean_over_labels([figures[name] for figures in by_label])
        for name in FIGURES
    }


def _label_figures(
    logits: np.ndarray, decided: np.ndarray, values: np.ndarray, *, resamples: Resamples
) -> Figures:
    images = np.flatnonzero(values >= 0)
    positive, right = values[images] > 0, decided[images] == (values[images] > 0)
    groups = np.stack([positive, positive & right, ~positive, ~positive & right], 1)
    groups = groups.astype(np.float32)  # counts are exact below 2 ** 24

    def rates(counts: np.ndarray) -> np.ndarray:
        positives, found, negatives, rejected = counts.astype(np.float32) @ groups
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([found / positives, rejected / negatives])

    sensitivity, specificity = resamples.measure(rates, images).T
    auc = np.full_like(sensitivity, np.nan)
    if positive.any() and not positive.all():
        auc = classification.resampled_auc(positive, logits[images], resamples, images)
    return {"auc": auc, "sensitivity": sensitivity, "specificity": specificity}


def _intervals(figures: Mapping[str, np.ndarray]) -> dict[str, bootstrap.Interval]:
    return {name: bootstrap.interval(values) for name, values in figures.items()}


def _change(row: Mapping[str, Any]) -> float:
    return row["change"]["auc"]["value"]


def _falls(row: Mapping[str, Any]) -> bool:
    return row["change"]["auc"]["high"] < 0


def _fall(row: Mapping[str, Any]) -> str:
    change = row["change"]["auc"]
    return f"{-change['value']:.3f} ({-change['high']:.3f} to {-change['low']:.3f})"
