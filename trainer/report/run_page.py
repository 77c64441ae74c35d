"""The report of a finished run: one HTML page that holds everything it shows."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import markupsafe
from etils import epath

from trainer.config import references
from trainer.config.references import Reference
from trainer.metrics.label_result import LabelResult
from trainer.report import baselines, page, run_files
from trainer.report.album import Album
from trainer.report.run_files import Run
from trainer.show.charts.chart import Chart
from trainer.show.charts.history import history_charts, label_charts
from trainer.show.charts.label_charts import judged_charts
from trainer.show.charts.roc import label_roc_chart
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.training import evaluator

MOST_BYTES = 8_000_000  # of pictures; in the page they take a third more
LABELS_CHARTED = 20  # with charts of their own: a page of more would be slow to open


def write(workdir: epath.PathLike, published: str | None = None) -> epath.Path:
    """Writes `report.html` into the work directory of a finished run, in place of an older one.

    Args:
      workdir: local or remote directory with the records of the run; its `pictures/` may be
        absent.
      published: figures to compare with, see `references.parse`; None takes the config's.

    Returns:
      The path of the report.

    Raises:
      UsageError: the directory or one of its records is missing or cannot be read.
    """
    run = run_files.read(workdir)
    template = page.template("run.html.j2", settings=run_files.settings, label_rows=_label_rows)
    html = template.render(_content(run, published))
    return atomic.write_text(run.workdir / "report.html", html)


def _content(run: Run, published: str | None) -> dict[str, Any]:
    """All that the template shows."""
    if published is None:
        published = run.config.get("report", {}).get("references", "")
    judged = evaluator.read_judged(run.workdir, "test")
    shortcut = run.audit and baselines.shortcut(run.audit, run.labels)
    album = Album(run.workdir, MOST_BYTES)
    return {
        "run": run,
        "compared": _compared(run, shortcut, published),
        "shortcut": shortcut,
        "as_good": bool(shortcut) and _is_as_good(shortcut, run),
        "audit_command": _audit_command(run),
        **_result_charts(judged),
        "history_charts": _drawn(_history_charts(run)),
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


def _compared(run: Run, shortcut: Reference | None, published: str) -> list[Reference]:
    """What the result is compared with: of several labels, with what is said of their mean."""
    try:
        figures = references.parse(published)
    except ValueError as error:
        raise UsageError(f"report.references: {error}.") from error
    chance = [baselines.commoner_class(run.test)] if len(run.labels) == 1 else []
    return [*chance, *([shortcut] if shortcut else []), *figures]


def _is_as_good(shortcut: Reference, run: Run) -> bool:
    """Whether the shortcut alone comes up to the interval of the network's AUC."""
    auc = run.test["auc"]
    return auc["low"] is not None and shortcut.values["auc"]["value"] >= auc["low"]


def _audit_command(run: Run) -> str:
    """How to make the audit that the report shows."""
    source, out = run.config.get("data", {}).get("path", "DATA"), run.workdir / "audit.html"
    audit = shlex.join(["python", "-m", "trainer", "audit", f"--source={source}", f"--out={out}"])
    return f"{audit}\n{shlex.join(['python', '-m', 'trainer', 'report', str(run.workdir)])}"


def _result_charts(judged: list[LabelResult]) -> dict[str, Any]:
    """Charts of each label, as many as can be shown, and of several one of all."""
    roc = (
        [label_roc_chart(judged)] if len(judged) > 1 and any(j.both_classes for j in judged) else []
    )
    each = {
        of.name: dict(zip(charts, _drawn(charts.values()), strict=True))
        for of in judged[:LABELS_CHARTED]
        for charts in [judged_charts(of)]
    }
    return {"roc_charts": _drawn(roc), "label_charts": each}


def _history_charts(run: Run) -> list[Chart]:
    charts = history_charts(run.history, run.test["epoch"])
    if len(run.labels) > 1:
        charts += label_charts(run.history, run.test["epoch"])
    return charts


def _drawn(charts: Iterable[Chart]) -> list[markupsafe.Markup]:
    return [markupsafe.Markup(chart.svg()) for chart in charts]


def _label_rows(data: Mapping) -> Iterator[tuple[str, str, str]]:
    """What is counted in the data: (name, label, "positive", "negative" or "unknown")."""
    for label in data["labels"]:
        if data["classes"]:
            yield data["classes"][0], label, "negative"
        yield label, label, "positive"
        if any(counts["per_label"][label]["unknown"] for counts in data["splits"].values()):
            yield f"{label}, not known", label, "unknown"
