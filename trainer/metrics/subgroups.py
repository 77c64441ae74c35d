"""Groups of images by what is known of them, such as sex or age, and the figures of each."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from trainer.metrics import bootstrap, figures
from trainer.metrics.figures import Figures
from trainer.metrics.measured import Measured
from trainer.metrics.operating_points import CHOSEN

NUMBER = re.compile(r"(\d+(?:\.\d+)?)([YMWD]?)")  # DICOM's ages have a unit: 061Y
YEARS = {"": 1.0, "Y": 1.0, "M": 1 / 12, "W": 1 / 52, "D": 1 / 365}
AGES = (18.0, 40.0, 60.0, 80.0)  # where bins of a column of ages begin
MOST_VALUES = 10  # different numbers that are groups of their own
MOST_GROUPS = 30
NOT_KNOWN = "not known"
FEWEST = 5  # images of either class that figures need
COMPARED = ("auc", "average_precision", "accuracy", "sensitivity", "specificity", "ppv", "npv")


def groups(name: str, values: np.ndarray, edges: Sequence[float] = ()) -> dict[str, np.ndarray]:
    """Returns which images each group has, [n] bool by its name; the unknown ones last.

    Numbers lie in bins from one edge up to the next: those given, of an age `AGES`, of others the
    quartiles; few different ones are groups of their own, as texts are. Of many texts the rarest
    are one group.

    Args:
      name: of the column.
      values: [n] str, "" is not known.
      edges: where bins of numbers begin, rising.
    """
    known = values != ""
    numbers = _numbers(values[known])
    if numbers is None:
        found = _texts(values)
    elif not edges and len(np.unique(numbers)) <= MOST_VALUES and "age" not in name.lower():
        found = {f"{number:g}": _placed(known, numbers == number) for number in np.unique(numbers)}
    else:
        found = _bins(name, known, numbers, edges)
    if not known.all():
        found[NOT_KNOWN] = ~known
    return {group: chosen for group, chosen in found.items() if chosen.any()}


def measure(measured: Measured, by: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the figures of each group, for each label, with the largest gaps between groups.

    Args:
      measured: all images.
      by: group -> [n] bool, its images.

    Returns:
      {label: {groups: [{name, images, patients, positive, negative, too_small, figure: {value, low,
      high}}], gaps: {figure: {lowest, highest, value, low, high}}}}; a group that is too small has
      no figures. A gap is that between the groups with the lowest and the highest value.
    """
    return {name: _label(measured, name, by) for name in measured.figures}


def _label(measured: Measured, label: str, by: Mapping[str, np.ndarray]) -> dict[str, Any]:
    rows, found = list[dict[str, Any]](), dict[str, dict[str, np.ndarray]]()
    for group, chosen in by.items():
        examples = measured.examples[label].part(chosen)
        positive, negative = int(examples.positive.sum()), int((~examples.positive).sum())
        row: dict[str, Any] = {
            "name": group,
            "images": len(examples.images),
            "patients": measured.resamples.patients(examples.images),
            "positive": positive,
            "negative": negative,
            "too_small": min(positive, negative) < FEWEST,
        }
        if not row["too_small"]:
            of_group: Figures = figures.measure(
                examples,
                measured.resamples,
                thresholds=measured.thresholds(label),
                prevalence=measured.prevalence,
            )
            found[group] = of_group.flat(CHOSEN)
            row |= {name: bootstrap.area_interval(values) for name, values in found[group].items()}
        rows.append(row)
    return {"groups": rows, "gaps": _gaps(found) if len(found) > 1 else {}}


def _gaps(found: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
    gaps = {}
    for name in COMPARED:
        defined = {g: values[name] for g, values in found.items() if np.isfinite(values[name][0])}
        if len(defined) > 1:
            ordered = sorted(defined, key=lambda group: defined[group][0])
            lowest, highest = ordered[0], ordered[-1]
            difference = defined[highest] - defined[lowest]
            ends = {"lowest": lowest, "highest": highest}
            gaps[name] = ends | bootstrap.area_interval(difference)
    return gaps


def _numbers(texts: np.ndarray) -> np.ndarray | None:
    """Returns the texts as numbers, ages in years; None if one is no number."""
    found = [NUMBER.fullmatch(text.strip()) for text in texts]
    if not found or not all(found):
        return None
    return np.array([float(m[1]) * YEARS[m[2]] for m in found if m])


def _bins(
    name: str, known: np.ndarray, numbers: np.ndarray, edges: Sequence[float]
) -> dict[str, np.ndarray]:
    if not edges:
        is_age = "age" in name.lower()
        edges = AGES if is_age else np.unique(np.quantile(numbers, [0.25, 0.5, 0.75])).tolist()
    ends = [-np.inf, *edges, np.inf]
    found = {}
    for low, high in pairwise(ends):
        text = f"{low:g} to under {high:g}"
        if np.isinf(low):
            text = f"under {high:g}"
        elif np.isinf(high):
            text = f"{low:g} and above"
        found[text] = _placed(known, (numbers >= low) & (numbers < high))
    return found


def _texts(values: np.ndarray) -> dict[str, np.ndarray]:
    names, counts = np.unique(values[values != ""], return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][:MOST_GROUPS].tolist()
    found = {name: values == name for name in common}
    rest = (values != "") & ~np.isin(values, common)
    return found | ({"others": rest} if rest.any() else {})


def _placed(known: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns [n] bool, of [k] bool for those that are known."""
    placed = np.zeros(len(known), bool)
    placed[known] = chosen
    return placed
