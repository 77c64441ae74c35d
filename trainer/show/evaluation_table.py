"""The evaluation of a split as a table for the terminal."""

from collections.abc import Callable, Mapping

from trainer.metrics.label_result import interval_text
from trainer.metrics.operating_points import CHOSEN

LONGEST = 37  # characters of a label and its counts
AREAS = ("auc", "average_precision")
MOST_CLASSES = 8  # whose confusion matrix has room


def table(evaluation: Mapping) -> str:
    """Returns the evaluation as a table, at most 80 columns wide; of several labels 110.

    Args:
      evaluation: as in `evaluation/SPLIT.json`, or of another data set in `evaluation/NAME.json`.
    """
    step = f", step {evaluation['step']:,}" if "step" in evaluation else ""  # of one run
    heading = (
        f"{evaluation['split']}: {evaluation['images']} images of {evaluation['patients']} "
        f"patients{step}; 95 % intervals by patient"
    )
    several = len(evaluation["labels"]) > 1
    lines = _several_labels(evaluation) if several else _one_label(evaluation)
    return "\n".join([heading, *lines])


def _one_label(evaluation: Mapping) -> list[str]:
    """Returns the areas under the curves, the calibration, and the rates at each threshold."""
    (label,) = evaluation["labels"].values()
    calibration, rates = label["calibration"], ("accuracy", "sensitivity", "specificity")
    error = f"{_calibration_error(calibration)} at temperature {calibration['temperature']:.2f}"

    def line(title: str, *cells: str) -> str:
        return f"{title:<24}" + "".join(f" {cell:<26}" for cell in cells).rstrip()

    points = label["operating_points"]
    return [
        line("AUC", _estimate(label["auc"])),
        line("average precision", _estimate(label["average_precision"])),
        line("calibration error (ECE)", error),
        "",
        line("", *(f"{point['name']} ({point['threshold']:.3f})" for point in points)),
        *(line(rate, *(_estimate(point[rate]) for point in points)) for rate in rates),
    ]


def _several_labels(evaluation: Mapping) -> list[str]:
    """Returns the means over the labels, and two lines for each: areas, and the chosen point."""
    labels, rates = evaluation["labels"], ("sensitivity", "specificity")
    titles = {name: _title(name, label) for name, label in labels.items()}
    mean = "mean over the labels"
    width = max(map(len, [mean, *titles.values()])) + 1

    def line(title: str, *cells: str) -> str:
        return f"{title:<{width}}" + "".join(f"{cell:^24}" for cell in cells).rstrip()

    lines = [
        line("", "AUC", "average precision", "calibration error (ECE)"),
        line(mean, *(_estimate(evaluation[area]) for area in AREAS)),
    ]
    for name, label in labels.items():
        cells = [_estimate(label[area]) for area in AREAS]
        lines.append(line(titles[name], *cells, _calibration_error(label["calibration"])))
    if evaluation.get("exclusive"):
        return [*lines, "", *_decisions(evaluation, titles, line)]
    lines += ["", line(CHOSEN, *rates, "threshold")]
    for name, label in labels.items():
        point = next(p for p in label["operating_points"] if p["name"] == CHOSEN)
        cells = [_estimate(point[rate]) for rate in rates]
        lines.append(line(titles[name], *cells, f"{point['threshold']:.3f}"))
    return lines


def _decisions(
    evaluation: Mapping, titles: Mapping[str, str], line: Callable[..., str]
) -> list[str]:
    """Returns the rates of the decision for the likeliest class, and its confusion matrix."""
    lines = [line("likeliest class", "accuracy", "sensitivity", "specificity")]
    lines.append(
        line("all", *(_estimate(evaluation[r]) for r in ("accuracy", "balanced_accuracy")))
    )
    for name, label in evaluation["labels"].items():
        rates = [_estimate(label["decision"][rate]) for rate in ("sensitivity", "specificity")]
        lines.append(line(titles[name], "", *rates))
    counts = evaluation["confusion"]
    if len(counts) <= MOST_CLASSES:
        names = [name if len(name) <= 11 else f"{name[:10]}…" for name in titles]
        lines += ["", line("predicted as", "")[:12].rstrip()]
        lines += ["actual".ljust(13) + "".join(f"{name:>12}" for name in names)]
        for name, row in zip(names, counts, strict=True):
            lines.append(f"{name:<13}" + "".join(f"{count:>12,}" for count in row))
    return lines


def _title(name: str, label: Mapping) -> str:
    """Returns a label's name, shortened, with its number of positive images."""
    counts = f" ({label['positive']} of {label['positive'] + label['negative']})"
    room = LONGEST - len(counts)
    return (name if len(name) <= room else name[: room - 1] + "…") + counts


def _estimate(metric: Mapping) -> str:
    if metric["value"] is None:
        return "not defined"
    return interval_text(metric)


def _calibration_error(calibration: Mapping) -> str:
    """Returns the error before and after the temperature."""
    if calibration["before"]["ece"] is None:
        return "not defined"
    return f"{calibration['before']['ece']:.3f} -> {calibration['after']['ece']:.3f}"
