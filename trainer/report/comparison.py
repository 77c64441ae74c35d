"""The comparison of several finished runs: one self-contained HTML page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath

from trainer.config.fields import FIELDS
from trainer.metrics import paired
from trainer.report import page
from trainer.show.charts.compared import compared_history_charts, compared_roc_chart
from trainer.system import atomic, environment
from trainer.system.errors import UsageError
from trainer.training.run_files import RunFiles

LABELS_CHARTED = 20
CIRCUMSTANCES = {
    "git commit": lambda run: run.environment["git_commit"] or "not recorded",
    "versions": lambda run: ", ".join(map(" ".join, run.environment["versions"].items())),
    "devices": lambda run: ", ".join(run.environment["devices"]),
    "processor": lambda run: environment.arithmetic(run.environment) or "not recorded",
    "data set": lambda run: run.dataset_fingerprint[:16],
}


class ComparedRun(NamedTuple):
    """A run on the page.

    Attributes:
      name: of its folder, with parent folders where two runs share a name.
      files: of the run.
      difference: of its AUC from that of the first run, {value, low, high}; None where the test
        images differ.
    """

    name: str
    files: RunFiles
    difference: Mapping[str, float | None] | None


def write(workdirs: Sequence[epath.PathLike], out: epath.PathLike) -> epath.Path:
    """Writes the page `out`.

    Args:
      workdirs: two or more finished runs, local or remote; the others are compared with the first.
      out: the page.

    Returns:
      `out`.

    Raises:
      UsageError: one of the runs cannot be read, or they were trained on different labels.
    """
    runs = [RunFiles(workdir) for workdir in workdirs]
    _require_comparable(runs)
    template = page.template("comparison.html.j2", signed=_signed)
    return atomic.write_text(epath.Path(out), template.render(_content(runs)))


def _require_comparable(runs: Sequence[RunFiles]) -> None:
    first, seen = runs[0], set()
    for run in runs:
        if run.workdir in seen:
            raise UsageError(f"{run.workdir} is named twice: give each run once.")
        seen.add(run.workdir)
        if run.labels != first.labels:
            raise UsageError(
                f"{run.workdir} was trained on the labels {', '.join(run.labels)}, "
                f"{first.workdir} on {', '.join(first.labels)}: compare runs with the same labels."
            )


def _content(runs: Sequence[RunFiles]) -> dict[str, Any]:
    """Returns the variables of the template."""
    compared = list(_compared_runs(runs))
    histories = {run.name: run.files.history for run in compared}
    rocs = {}
    for number, label in enumerate(runs[0].labels[:LABELS_CHARTED]):
        results = {run.name: run.files.test_results[number] for run in compared}
        if any(result.has_both_classes for result in results.values()):
            rocs[label] = compared_roc_chart(results)
    return {
        "runs": compared,
        "labels": runs[0].labels,
        "changes": _changes(runs),
        "history_charts": page.svgs(compared_history_charts(histories)),
        "roc_charts": dict(zip(rocs, page.svgs(rocs.values()), strict=True)),
    }


def _compared_runs(runs: Sequence[RunFiles]) -> Iterator[ComparedRun]:
    first = runs[0]
    for name, run in zip(_names(runs), runs, strict=True):
        results, difference = (first.test_results, run.test_results), None
        if run.test_images == first.test_images and paired.are_comparable(*results):
            difference = paired.auc_difference(*results)
        yield ComparedRun(name, run, difference)


def _names(runs: Sequence[RunFiles]) -> list[str]:
    """Returns the names of the runs' folders, with as many parents as make them distinct."""
    parts = [run.workdir.parts for run in runs]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(runs):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _changes(runs: Sequence[RunFiles]) -> list[tuple[str, list[Any]]]:
    """Returns what differs between runs: (field or circumstance, its value in each run)."""
    # A run may be older than a field, which then was as its default is.
    defaults = {name: field.default for name, field in FIELDS.items()}
    configs = [defaults | run.settings for run in runs]
    fields = dict.fromkeys(field for config in configs for field in config)
    rows = [(field, [config.get(field, "–") for config in configs]) for field in fields]
    rows += [(name, [value(run) for run in runs]) for name, value in CIRCUMSTANCES.items()]
    return [(name, values) for name, values in rows if any(v != values[0] for v in values)]


def _signed(value: float) -> str:
    """Returns a difference with its sign: "+0.012", "−0.003"."""
    return f"{value:+.3f}".replace("-", "−")
