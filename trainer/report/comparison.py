"""Several finished runs beside one another: one HTML page that holds everything it shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import markupsafe
from etils import epath

from trainer.config.schema import FIELDS
from trainer.metrics import paired
from trainer.metrics.label_result import LabelResult
from trainer.report import page, run_files
from trainer.report.run_files import Run
from trainer.show.charts.chart import Chart
from trainer.show.charts.compared import compared_history_charts, compared_roc_chart
from trainer.system import atomic
from trainer.system.errors import UsageError
from trainer.training import evaluator

LABELS_CHARTED = 20
CIRCUMSTANCES = {
    "git commit": lambda run: run.environment["git_commit"] or "not recorded",
    "versions": lambda run: ", ".join(map(" ".join, run.environment["versions"].items())),
    "devices": lambda run: ", ".join(run.environment["devices"]),
    "data set": lambda run: run.data.get("fingerprint", "not recorded")[:16],
}


class Compared(NamedTuple):
    """A run on the page.

    Attributes:
      name: of its folder, with those above where two are alike.
      run: its records.
      judged: what it says of each label of the test images.
      difference: of its AUC to that of the first run, {value, low, high}; None where the test
        images differ.
    """

    name: str
    run: Run
    judged: list[LabelResult]
    difference: Mapping[str, float | None] | None


def write(workdirs: Sequence[epath.PathLike], out: epath.PathLike) -> epath.Path:
    """Writes the page `out`.

    Args:
      workdirs: two or more finished runs, local or remote; the first is the one compared with.
      out: the page.

    Returns:
      `out`.

    Raises:
      UsageError: one of the runs cannot be read, or they do not tell the same labels.
    """
    runs = [run_files.read(workdir) for workdir in workdirs]
    _require_comparable(runs)
    template = page.template("comparison.html.j2", signed=_signed)
    return atomic.write_text(epath.Path(out), template.render(_content(runs)))


def _require_comparable(runs: Sequence[Run]) -> None:
    first, seen = runs[0], set()
    for run in runs:
        if run.workdir in seen:
            raise UsageError(f"{run.workdir} is named twice: give each run once.")
        seen.add(run.workdir)
        if run.labels != first.labels:
            raise UsageError(
                f"{run.workdir} tells {', '.join(run.labels)}, but {first.workdir} tells "
                f"{', '.join(first.labels)}: compare runs of the same labels."
            )


def _content(runs: Sequence[Run]) -> dict[str, Any]:
    """All that the template shows."""
    compared = list(_compared(runs))
    histories = {of.name: of.run.history for of in compared}
    rocs = {}
    for number, label in enumerate(runs[0].labels[:LABELS_CHARTED]):
        judged = {of.name: of.judged[number] for of in compared}
        if any(of.both_classes for of in judged.values()):
            rocs[label] = compared_roc_chart(judged)
    return {
        "compared": compared,
        "labels": runs[0].labels,
        "differences": _differences(runs),
        "history_charts": _drawn(compared_history_charts(histories)),
        "roc_charts": dict(zip(rocs, _drawn(rocs.values()), strict=True)),
    }


def _compared(runs: Sequence[Run]) -> Iterable[Compared]:
    first_names, first = run_files.images_tested(runs[0]), None
    for name, run in zip(_names(runs), runs, strict=True):
        judged, difference = evaluator.read_judged(run.workdir, "test"), None
        if first is None:
            first = judged
        elif run_files.images_tested(run) == first_names and paired.are_alike(first, judged):
            difference = paired.auc_difference(first, judged)
        yield Compared(name, run, judged, difference)


def _names(runs: Sequence[Run]) -> list[str]:
    """The runs' folders, with as many of those above as it takes to tell them apart."""
    parts = [run.workdir.parts for run in runs]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(runs):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _differences(runs: Sequence[Run]) -> list[tuple[str, list[Any]]]:
    """What was not the same: (field or circumstance, its value in each run)."""
    # A run may be older than a field, which then was as its default is.
    defaults = {name: field.default for name, field in FIELDS.items()}
    configs = [defaults | dict(run_files.settings(run.config)) for run in runs]
    fields = dict.fromkeys(field for config in configs for field in config)
    rows = [(field, [config.get(field, "–") for config in configs]) for field in fields]
    rows += [(name, [tell(run) for run in runs]) for name, tell in CIRCUMSTANCES.items()]
    return [(name, values) for name, values in rows if any(v != values[0] for v in values)]


def _drawn(charts: Iterable[Chart]) -> list[markupsafe.Markup]:
    return [markupsafe.Markup(chart.svg()) for chart in charts]


def _signed(value: float) -> str:
    """A difference with its sign: "+0.012", "−0.003"."""
    return f"{value:+.3f}".replace("-", "−")
