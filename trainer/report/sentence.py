"""The result of an evaluation in one plain sentence."""

from collections.abc import Mapping
from typing import Any

from trainer.report.page import decimal, percent

# Shares that have a name, the nearest is said.
NAMED_SHARES = {
    "one in twenty": 1 / 20,
    "a tenth": 1 / 10,
    "a fifth": 1 / 5,
    "a quarter": 1 / 4,
    "a third": 1 / 3,
    "two fifths": 2 / 5,
    "half": 1 / 2,
    "three fifths": 3 / 5,
    "two thirds": 2 / 3,
    "three quarters": 3 / 4,
    "four fifths": 4 / 5,
    "nine tenths": 9 / 10,
    "nineteen in twenty": 19 / 20,
}
NEARLY = 0.025  # a share that is nearer to none or to all


def share_in_words(part: int, whole: int) -> str:
    """Returns a share in words, as "half", "about two thirds" or "nearly all"."""
    if part in (0, whole):
        return "all" if part else "none"
    share = part / whole
    if share < NEARLY:
        return "hardly any"
    if share > 1 - NEARLY:
        return "nearly all"
    name = min(NAMED_SHARES, key=lambda name: abs(NAMED_SHARES[name] - share))
    return name if NAMED_SHARES[name] == share else f"about {name}"


def result_sentence(evaluation: Mapping[str, Any]) -> str:
    """Returns what the numbers of an evaluation mean for an image.

    Args:
      evaluation: content of `evaluation/NAME.json`.
    """
    if evaluation.get("exclusive"):
        return _of_classes(evaluation)
    if len(evaluation["labels"]) > 1:
        return _of_labels(evaluation)
    return _of_one_label(evaluation)


def _of_one_label(evaluation: Mapping[str, Any]) -> str:
    ((name, label),) = evaluation["labels"].items()
    point = label["operating_points"][-1]
    negative, positive = [f"{each} images" for each in evaluation["classes"]] or (
        f"images without {name}",
        f"images with {name}",
    )
    parts = []
    for counts, verb, images in zip(
        reversed(point["confusion"]),
        ("found", "flagged by mistake"),
        (positive, negative),
        strict=True,
    ):
        flagged, whole = counts[1], sum(counts)
        if whole:
            words = share_in_words(flagged, whole)
            parts.append(f"{words} of the {images} are {verb} ({flagged:,} of {whole:,})")
    where = f"At the threshold {point['threshold']:.2f} ({point['name']})"
    return f"{where}, {' and '.join(parts)}." if parts else "No image has a known label."


def _of_classes(evaluation: Mapping[str, Any]) -> str:
    right = percent(evaluation["accuracy"]["value"])
    found = {
        name: label["decision"]["sensitivity"]["value"]
        for name, label in evaluation["labels"].items()
        if label["decision"]["sensitivity"]["value"] is not None
    }
    sentence = f"The likeliest class is right for {right} of the images"
    if len(found) < 2:
        return f"{sentence}."
    best, worst = _best_and_worst(found)
    return (
        f"{sentence}; {best} is found most often ({percent(found[best])}), {worst} least "
        f"({percent(found[worst])})."
    )


def _of_labels(evaluation: Mapping[str, Any]) -> str:
    areas = {
        name: label["auc"]["value"]
        for name, label in evaluation["labels"].items()
        if label["auc"]["value"] is not None
    }
    sentence = (
        f"Over {len(evaluation['labels'])} labels the mean AUC is "
        f"{decimal(evaluation['auc']['value'])}"
    )
    if len(areas) < 2:
        return f"{sentence}."
    best, worst = _best_and_worst(areas)
    return (
        f"{sentence}: {best} is told apart best ({decimal(areas[best])}), {worst} worst "
        f"({decimal(areas[worst])})."
    )


def _best_and_worst(values: Mapping[str, float]) -> tuple[str, str]:
    """Returns the names of the highest and the lowest value."""
    return max(values, key=values.__getitem__), min(values, key=values.__getitem__)
