"""The trials of a sweep: runs, each in a folder of its own."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data import summary_file
from trainer.system import gcs, json_files, terminal
from trainer.system.errors import NotFinite, UsageError
from trainer.tuning import child_run, search_space
from trainer.tuning.search_space import Sweep
from trainer.tuning.study import Study, StudyTrial

RECORD = "sweep.json"
FROM_JOURNAL = "its trials are taken from the journal beside it"


def run(
    config: ConfigDict,
    sweep: Sweep,
    *,
    task_flags: Sequence[str],
    workdir: epath.PathLike,
    trials: int,
) -> list[dict]:
    """Runs the trials that are missing, and resumes one that was stopped.

    The first has the config's own values, as a baseline; see `Study` for the others. `sweep.json`
    has each trial's values, and the epoch that it keeps, the best so far of one that was stopped,
    with its validation AUC; the test split plays no part. Several processes may run the same
    sweep, but for a folder in a bucket. SIGTERM, SIGINT and SIGUSR1 are passed on to the trial,
    which saves. Must be called from the main thread.

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
    workdir = epath.Path(workdir)
    with child_run.series(workdir, shared=not gcs.is_gcs(workdir)) as signals:
        study = _begin(workdir, config, sweep)
        while True:
            child_run.check_not_stopped(signals, "before the next trial")
            with study.claimed(trials) as trial:
                if trial is None:
                    break
                title = f"trial {trial.number} of {trials}"
                print(f"{title}: {_listed(trial.values)}", flush=True)
                _train(
                    workdir / folder(trial.number),
                    task_flags,
                    trial,
                    title=title,
                    signals=signals,
                    epochs=trial.values.get("train.epochs", config.train.epochs),
                )
            study.write(workdir / RECORD)
            (row,) = (row for row in study.rows() if row["trial"] == trial.number)
            print(f"{title}: {_result(row)}\n", flush=True)
        if others := study.running():
            print(f"trials that other processes still train: {others}\n")
        return sorted(study.rows(), key=_rank, reverse=True)


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
        epoch += ", stopped" if row["pruned"] else ""
        lines.append((folder(row["trial"]), _auc(row), epoch, *values))
    return terminal.aligned(lines)


def _fingerprint(path: str) -> str | None:
    """Returns the identity of the data set, None where it cannot be read."""
    with suppress(OSError), gcs.translate_errors(path):  # the first trial will say what is wrong
        summary = summary_file.read(summary_file.root(path)) or {}
        return summary.get("dataset_fingerprint")
    return None


def _begin(workdir: epath.Path, config: ConfigDict, sweep: Sweep) -> Study:
    """Returns the trials so far, after checking that they are of the same sweep."""
    data = _fingerprint(config.data.path)
    begun = {
        "config": config.to_dict(),
        "dataset_fingerprint": data,
        "sweep": search_space.described(sweep),
    }
    known: list[dict] = []
    if json_files.set_aside_if_damaged(workdir / RECORD, _check_record, FROM_JOURNAL):
        record = json_files.read(workdir / RECORD)
        _check_same(config, record, begun, workdir=workdir)
        known = record.pop("trials")
        begun = record
    fields = dict(schema.fields(config))
    own = {path: fields[path] for path in sweep}
    study = Study(workdir, sweep, own=own, seed=config.seed, begun=begun, known=known)
    _check_same(config, study.begun, begun, workdir=workdir)
    study.write(workdir / RECORD)
    return study


def _check_same(
    config: ConfigDict, before: Mapping[str, Any], now: Mapping[str, Any], *, workdir: epath.Path
) -> None:
    """Raises a UsageError unless a sweep was begun with the same."""
    schema.check_same_run(config, before["config"])
    data = now["dataset_fingerprint"]
    if data and before.get("dataset_fingerprint") not in (None, data):
        raise UsageError(
            f"data.path={config.data.path} is not the data set on which the sweep in {workdir} was "
            "begun: give the path where that lies now, or name another --workdir."
        )
    for path in sorted({*now["sweep"], *before["sweep"]}):
        then, given = (ranges["sweep"].get(path, "its own value") for ranges in (before, now))
        if then != given:
            raise UsageError(
                f"the sweep in {workdir} was begun with {path} from {then}, not from {given}: name "
                "another --workdir, or restore sweep() to go on."
            )


def _check_record(record: Mapping[str, Any]) -> None:
    """Raises an error unless `record` is the content of a `sweep.json`."""
    for part in (record["config"], record["sweep"], *record["trials"]):
        part.keys()
    for row in record["trials"]:
        row["values"].keys()
        if not isinstance(row["validation_auc"], float | None):
            raise TypeError(row["validation_auc"])


def _train(
    workdir: epath.Path,
    task_flags: Sequence[str],
    trial: StudyTrial,
    *,
    title: str,
    signals: list[int],
    epochs: int,
) -> None:
    """Runs a trial to its end, or until it is clear that others are better, and notes its AUC."""

    def history() -> list[dict]:
        file = workdir / "history.json"
        return json_files.read(file, list) if file.exists() else []

    def report() -> bool:
        return trial.report([row["validation"].get("auc") for row in history()], epochs)

    overrides = [f"--config.{path}={value}" for path, value in trial.values.items()]
    code = child_run.train(
        workdir,
        [*task_flags, *overrides],
        title=title,
        signals=signals,
        accepted=[NotFinite.exit_code],
        is_enough=report,
    )
    report()
    if code == NotFinite.exit_code:
        trial.end(None, None, pruned=False)
    elif code:
        aucs = [row["validation"].get("auc") or 0.0 for row in history()]
        epoch = max(range(len(aucs)), key=aucs.__getitem__)
        trial.end(aucs[epoch], epoch + 1, pruned=True)
    else:
        kept = json_files.read(workdir / "evaluation" / "validation.json")
        trial.end(kept["auc"]["value"], kept["epoch"], pruned=False)


def _rank(row: dict) -> tuple[bool, bool, float]:
    return row["epoch"] is not None, not row["pruned"], row["validation_auc"] or 0.0


def _result(row: dict) -> str:
    if row["epoch"] is None:
        return "its loss became infinite or NaN"
    stopped = ", stopped as it is below the median of the others" if row["pruned"] else ""
    return f"validation AUC {_auc(row)} at epoch {row['epoch']}{stopped}"


def _auc(row: dict) -> str:
    return "-" if row["validation_auc"] is None else f"{row['validation_auc']:.4f}"


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path}={_text(value)}" for path, value in values.items())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
