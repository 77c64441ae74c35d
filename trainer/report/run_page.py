"""The report of a finished run: one HTML page that holds everything it shows."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from trainer.config import references
from trainer.config.references import Reference
from trainer.report import baselines, chart_files, page
from trainer.report.album import Album
from trainer.report.result import ResultCharts, result_charts
from trainer.report.sentence import result_sentence
from trainer.show.charts.chart import Chart
from trainer.show.charts.history import history_charts, label_history_charts
from trainer.system import atomic, environment
from trainer.system.errors import UsageError
from trainer.training.run_files import RunFiles

PURPOSES = {
    "start": "start, up to the first step",
    "compilation": "first loop, which compiles",
    "training": "training",
    "input": "waiting for input",
    "evaluation": "evaluation",
    "pictures": "pictures and histograms",
    "checkpoints": "checkpoints",
    "counting": "counting a step's operations",
    "results": "final evaluation, up to this report",
    "other": "gaps between them",
}

MOST_BYTES = 8_000_000  # of pictures; in the page they take a third more


def write(
    workdir: epath.PathLike, published: str | None = None, *, out: epath.Path | None = None
) -> epath.Path:
    """Writes the report of a finished run, in place of an older one.

    Where the run has `pictures/`, the charts are written there too, as SVG and PDF, and the curves
    into `pictures/curves/`.

    Args:
      workdir: of the run, local or remote; its `pictures/` may be absent.
      published: figures to compare with, see `references.parse`; by default the config's.
      out: the page; by default `report.html` in the work directory.

    Returns:
      The path of the report.

    Raises:
      UsageError: the directory or one of its files is missing or cannot be read.
    """
    run = RunFiles(workdir)
    result, curves = result_charts(run.test, run.test_results), _history_charts(run)
    template = page.template(
        "run.html.j2", label_rows=_label_rows, tensorflow_version=environment.tensorflow_version
    )
    html = template.render(_content(run, published, result=result, curves=curves))
    pictures = run.workdir / "pictures"
    if not out and pictures.exists():
        chart_files.write(pictures / "test", chart_files.by_tag(result))
        chart_files.write(pictures / "curves", curves)
    return atomic.write_text(out or run.workdir / "report.html", html)


def _content(
    run: RunFiles, published: str | None, *, result: ResultCharts, curves: Mapping[str, Chart]
) -> dict[str, Any]:
    """Returns the variables of the template."""
    if published is None:
        published = run.config.get("report", {}).get("references", "")
    shortcut = baselines.shortcut(run.audit, run.labels) if run.audit else None
    album = Album(run.workdir, MOST_BYTES)
    return {
        "run": run,
        "sentence": result_sentence(run.test),
        "references": _references(run, shortcut, published),
        "shortcut": shortcut,
        "shortcut_is_as_good": shortcut is not None and _is_as_good(shortcut, run),
        "audit_command": _audit_command(run),
        "time": time_spent(run.speed["sessions"]) if run.speed else {},
        "session": _longest_session(run.speed["sessions"]) if run.speed else None,
        "drawn": result.svgs(),
        "history_charts": page.svgs(curves.values()),
        # What matters most comes first: there may not be room for all.
        "errors": album.picture("errors"),
        "explained_errors": album.picture("explanations/errors"),
        "explained_examples": album.picture("explanations/examples"),
        "samples": album.picture("samples"),
        "augmented": album.picture("augmented"),
        "filters": album.filters(),
        "layers": album.layers(),
        "left_out": album.left_out,
    }


def time_spent(sessions: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the seconds that all sessions of a run spent, by purpose in words, the most first."""
    seconds: dict[str, float] = {}
    for session in sessions:
        for purpose, spent in session["seconds"].items():
            name = PURPOSES.get(purpose, purpose)
            seconds[name] = seconds.get(name, 0.0) + spent
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _longest_session(sessions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the session that trained longest, None where none knew its speed."""
    known = [session for session in sessions if "step_milliseconds_median" in session]
    return max(known, key=lambda session: session["seconds"].get("training", 0.0), default=None)


def _references(run: RunFiles, shortcut: Reference | None, published: str) -> list[Reference]:
    """Returns what the result is compared with; chance is known for one decision an image alone."""
    try:
        figures = references.parse(published)
    except ValueError as error:
        raise UsageError(f"report.references: {error}.") from error
    decided = len(run.labels) == 1 or run.test.get("exclusive")
    chance = [baselines.commonest_class(run.test)] if decided else []
    return [*chance, *([shortcut] if shortcut else []), *figures]


def _is_as_good(shortcut: Reference, run: RunFiles) -> bool:
    """Returns whether the shortcut's AUC reaches the interval of the network's AUC."""
    auc = run.test["auc"]
    return auc["low"] is not None and shortcut.values["auc"]["value"] >= auc["low"]


def _audit_command(run: RunFiles) -> str:
    """Returns the commands that make an audit and show it in the report."""
    source, out = run.config.get("data", {}).get("path", "DATA"), run.workdir / "audit.html"
    audit = shlex.join(["radiograph", "audit", f"--source={source}", f"--out={out}"])
    return f"{audit}\n{shlex.join(['radiograph', 'report', str(run.workdir)])}"


def _history_charts(run: RunFiles) -> dict[str, Chart]:
    """Returns the curves by the names of their files."""
    between = [{"epoch": row["epochs"], **row} for row in run.evaluations]
    history = sorted([*between, *run.history], key=lambda entry: entry["epoch"])
    charts = history_charts(history, run.kept_epoch)
    if len(run.labels) > 1:
        charts += label_history_charts(history, run.kept_epoch)
    return {re.sub(r"\W+", "-", chart.name.lower()): chart for chart in charts}


def _label_rows(data: Mapping) -> Iterator[tuple[str, str, str]]:
    """Yields what is counted in the data: (name, label, "positive", "negative" or "unknown")."""
    for label in data["labels"]:
        if data["classes"]:
            yield data["classes"][0], label, "negative"
        yield label, label, "positive"
        if any(counts["per_label"][label]["unknown"] for counts in data["splits"].values()):
            yield f"{label}, unknown", label, "unknown"
