"""The report of a finished run: one HTML page that holds everything it shows.

python -m trainer.report RUN
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
import markupsafe
import numpy as np
from etils import epath

from trainer import charts, entry, evaluate, page, whole
from trainer.entry import Refusal

SPLITS = ("validation", "test")
LabelScores = dict[str, tuple[np.ndarray, np.ndarray]]
RECORDS = (
    "config.json",
    "environment.json",
    "data_summary.json",
    "history.json",
    *(f"evaluation/{split}.{kind}" for split in SPLITS for kind in ("json", "csv")),
)


def write(workdir: epath.Path | str) -> epath.Path:
    """Writes `report.html` into the work directory of a finished run, in place of an older one.

    Args:
      workdir: local or remote directory with the records of the run; its `pictures/` may be
        absent.

    Returns:
      The path of the report.

    Raises:
      Refusal: the directory or one of its records is missing or cannot be read.
    """
    workdir = epath.Path(workdir)
    html = _template().render(_content(workdir))
    return whole.write_text(workdir / "report.html", html)


def _content(workdir: epath.Path) -> dict[str, Any]:
    """All that the template shows."""
    _require_records(workdir)
    history = _json(workdir / "history.json")
    if not history:
        raise Refusal(f"{workdir} has finished no epoch yet: {_advice(workdir)}")
    validation, test = (_json(workdir / f"evaluation/{split}.json") for split in SPLITS)
    labels = list(test["labels"])
    scores = {split: _scores(workdir / f"evaluation/{split}.csv", labels) for split in SPLITS}
    charts_of = _charts_of_many if len(labels) > 1 else _charts_of_one
    history_charts, roc_chart = charts_of(history, scores, test)
    environment = _json(workdir / "environment.json")
    return {
        "config": _json(workdir / "config.json"),
        "environment": environment,
        "started": datetime.fromisoformat(environment["started"]),
        "data": _json(workdir / "data_summary.json"),
        "history": history,
        "speed": _typical(history, "images_per_second", "{:,.0f} images/s"),
        "waiting": _typical(history, "input_wait", "{:.1%} of the time"),
        "validation": validation,
        "test": test,
        "history_charts": [markupsafe.Markup(chart) for chart in history_charts],
        "roc_chart": markupsafe.Markup(roc_chart),
        "sample_sheet": _picture(workdir / "pictures/sample_sheet.png"),
        "augmented": _picture(workdir / "pictures/augmented.png"),
        "activations": _activations(workdir / "pictures/activations"),
    }


def _require_records(workdir: epath.Path) -> None:
    if not workdir.is_dir():
        raise Refusal(
            f"there is no run at {workdir}: give the work directory of a finished training."
        )
    missing = [name for name in RECORDS if not (workdir / name).exists()]
    if missing:
        raise Refusal(f"{workdir} lacks {', '.join(missing)}: {_advice(workdir)}")


def _advice(workdir: epath.Path) -> str:
    """How to finish the run, with its own command where that is known."""
    try:
        command = json.loads((workdir / "environment.json").read_text())["command"]
    except (OSError, ValueError, KeyError):
        return "train it to the end, then ask for the report again."
    return f"train it to the end with `{command}`, then ask for the report again."


def _json(path: epath.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise _unreadable(path, error) from error


def _charts_of_one(history: list, scores: dict[str, LabelScores], test: dict) -> tuple:
    """History charts and ROC chart of a run with one label."""
    ((label, of),) = test["labels"].items()
    of_split = {split: by_label[label] for split, by_label in scores.items()}
    roc_chart = charts.roc_chart(of_split, of["operating_points"])
    return charts.history_charts(history, test["epoch"]), roc_chart


def _charts_of_many(history: list, scores: dict[str, LabelScores], test: dict) -> tuple:
    """History charts and ROC chart of a run with several labels."""
    epochs = charts.history_charts(history, test["epoch"])
    of_labels = charts.label_charts(history, test["epoch"])
    return epochs + of_labels, charts.label_roc_chart(scores["test"])


def _scores(path: epath.Path, labels: Sequence[str]) -> LabelScores:
    """What is known of each label of an evaluated split: its values [n] int, scores [n] float."""
    try:
        rows, result = list(csv.DictReader(path.read_text().splitlines())), {}
        for name, (label, score) in zip(labels, evaluate.score_columns(labels), strict=True):
            known = [row for row in rows if row[label] != ""]
            values = np.array([int(row[label]) for row in known])
            result[name] = values, np.array([float(row[score]) for row in known])
        return result
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: epath.Path, error: Exception) -> Refusal:
    return Refusal(f"{path} cannot be read ({error}): train or evaluate the run again.")


def _picture(path: epath.Path) -> str | None:
    """The PNG as a data URI, or None where the run kept no such picture."""
    if not path.exists():
        return None
    return page.data_uri(path.read_bytes(), "png")


def _activations(directory: epath.Path) -> list[tuple[str, str | None]]:
    """Name and picture of each inner layer, in order of data flow."""
    if not directory.is_dir():
        return []
    paths = sorted(directory.glob("*.png"), key=lambda path: path.name)
    return [(path.stem.partition("_")[2], _picture(path)) for path in paths]


def _typical(history: Sequence[Mapping], name: str, form: str) -> str:
    """A measure of training in its median epoch, since the first one also compiles."""
    values = [entry["train"][name] for entry in history]
    values = [value for value in values if value is not None]
    return form.format(np.median(values)) if values else "not measured"


def _template() -> jinja2.Template:
    return page.template(
        "report.html.j2",
        percent=_percent,
        decimal=_decimal,
        duration=_duration,
        settings=_settings,
        label_rows=_label_rows,
    )


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{100 * value:.1f} %"


def _decimal(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    # Seconds say nothing beside hours.
    return " ".join([f"{value} {unit}" for value, unit in parts if value][:2]) or "0 s"


def _label_rows(data: Mapping) -> Iterator[tuple[str, str, str]]:
    """What is counted in the data: (name, label, "positive", "negative" or "unknown")."""
    for label in data["labels"]:
        if data["classes"]:
            yield data["classes"][0], label, "negative"
        yield label, label, "positive"
        if any(counts["per_label"][label]["unknown"] for counts in data["splits"].values()):
            yield f"{label}, not known", label, "unknown"


def _settings(config: Mapping, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a nested config by their dotted names."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def main(argv: Sequence[str]) -> None:
    """Writes the report of the run that the command line names."""
    print(write(argv[1]))


if __name__ == "__main__":
    entry.run(main, arguments=["RUN"])
