"""The trials of a sweep: runs one after the other, each in a folder of its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data import summary_file
from trainer.system import atomic, gcs, json_files, terminal
from trainer.system.errors import NotFinite, UsageError
from trainer.tuning import child_run, search_space
from trainer.tuning.search_space import Sweep

RECORD = "sweep.json"
ANEW = "trials are listed anew, and finished ones not trained again"


def run(
    config: ConfigDict,
    sweep: Sweep,
    *,
    task_flags: Sequence[str],
    workdir: epath.PathLike,
    trials: int,
) -> list[dict]:
    """Runs the trials that are missing, and resumes one that was stopped.

    The first has the config's own values, as a baseline. `sweep.json` has the values of each trial
    and its best epoch by validation AUC; the test split plays no part. SIGTERM, SIGINT and SIGUSR1
    are passed on to the trial, which saves. Must be called from the main thread.

    Args:
      config: of all trials; its seed is the sweep's too.
      sweep: the fields that vary.
      task_flags: flags of trainer.task that give `config`.
      workdir: folder of the trials.
      trials: number of trials in all.

    Returns:
      a row for each trial as in `sweep.json`, the best first.

    Raises:
      UsageError: if another sweep was begun in the folder, or on other data.
      Stopped: at a signal.
      RunFailed: if a trial failed, other than with a loss that is not finite.
      CannotWrite: if the folder cannot be used.
    """
    workdir, data = epath.Path(workdir), _fingerprint(config.data.path)
    with child_run.series(workdir) as signals:
        record = _begin(workdir, config, sweep, data=data)
        for number in range(len(record["trials"]) + 1, trials + 1):
            title = f"trial {number} of {trials}"
            child_run.check_not_stopped(signals, f"before {title}")
            row: dict[str, Any] = {"trial": number, "values": _values(config, sweep, number)}
            print(f"{title}: {_listed(row['values'])}", flush=True)
            row |= _train(workdir / folder(number), task_flags, row, title=title, signals=signals)
            record["trials"].append(row)
            atomic.write_json(workdir / RECORD, record)
            print(f"{title}: {_result(row)}\n", flush=True)
    return sorted(record["trials"], key=_rank, reverse=True)


def folder(number: int) -> str:
    """Returns the name of a trial's folder."""
    return f"trial-{number:02d}"


def table(rows: Sequence[dict]) -> str:
    """Returns trials as a table, in the order of `rows`."""
    paths = list(rows[0]["values"])
    leaves = [path.rpartition(".")[2] for path in paths]
    names = [
        leaf if leaves.count(leaf) == 1 else path for path, leaf in zip(paths, leaves, strict=True)
    ]
    lines = [("trial", "validation AUC", "epoch", *names)]
    for row in rows:
        values = (_text(row["values"][path]) for path in paths)
        epoch = "-" if row["epoch"] is None else str(row["epoch"])
        lines.append((folder(row["trial"]), _auc(row), epoch, *values))
    return terminal.aligned(lines)


def _fingerprint(path: str) -> str | None:
    """Returns the identity of the data set, None where it cannot be read."""
    with suppress(OSError), gcs.translate_errors(path):  # the first trial will say what is wrong
        summary = summary_file.read(summary_file.root(path)) or {}
        return summary.get("dataset_fingerprint")
    return None


def _begin(workdir: epath.Path, config: ConfigDict, sweep: Sweep, *, data: str | None) -> dict:
    """Returns the content of `sweep.json`, after checking that it is of the same sweep."""
    file, ranges = workdir / RECORD, search_space.described(sweep)
    if not json_files.set_aside_if_damaged(
        file, _check_record, ANEW
    ):  # it is written after the first trial, so that mistakes can be corrected
        begun = {"config": config.to_dict(), "dataset_fingerprint": data}
        return begun | {"sweep": ranges, "trials": []}
    record = json_files.read(file)
    schema.check_same_run(config, record["config"])
    if data and record.get("dataset_fingerprint") not in (None, data):
        raise UsageError(
            f"data.path={config.data.path} is not the data set on which the sweep in {workdir} was "
            "begun: give the path where that lies now, or name another --workdir."
        )
    for path in sorted({*ranges, *record["sweep"]}):
        before = record["sweep"].get(path, "its own value")
        now = ranges.get(path, "its own value")
        if before != now:
            raise UsageError(
                f"the sweep in {workdir} was begun with {path} from {before}, not from {now}: name "
                "another --workdir, or restore sweep() to go on."
            )
    return record


def _check_record(record: Mapping[str, Any]) -> None:
    """Raises an error unless `record` is the content of a `sweep.json`."""
    for part in (record["config"], record["sweep"], *record["trials"]):
        part.keys()
    for row in record["trials"]:
        row["values"].keys()
        if not isinstance(row["validation_auc"], float | None):
            raise TypeError(row["validation_auc"])


def _values(config: ConfigDict, sweep: Sweep, number: int) -> dict[str, Any]:
    if number > 1:
        return search_space.draw(sweep, config.seed, number)
    own = dict(schema.fields(config))
    return {path: own[path] for path in sorted(sweep)}


def _train(
    workdir: epath.Path, task_flags: Sequence[str], row: dict, *, title: str, signals: list[int]
) -> dict[str, Any]:
    """Runs a trial to its end and returns its best epoch."""
    overrides = [f"--config.{path}={value}" for path, value in row["values"].items()]
    code = child_run.train(
        workdir,
        [*task_flags, *overrides],
        title=title,
        signals=signals,
        accepted=[NotFinite.exit_code],
    )
    if code == NotFinite.exit_code:
        return {"validation_auc": None, "epoch": None}
    best = json_files.read(workdir / "evaluation" / "validation.json")
    return {"validation_auc": best["auc"]["value"], "epoch": best["epoch"]}


def _rank(row: dict) -> tuple[bool, float]:
    return row["epoch"] is not None, row["validation_auc"] or 0.0


def _result(row: dict) -> str:
    if row["epoch"] is None:
        return "its loss became infinite or NaN"
    return f"validation AUC {_auc(row)} at epoch {row['epoch']}"


def _auc(row: dict) -> str:
    return "-" if row["validation_auc"] is None else f"{row['validation_auc']:.4f}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={_text(value)}" for path, value in values.items())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
