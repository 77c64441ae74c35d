"""One config trained several times, with several seeds or on several folds, a folder each."""

from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data import summary_file
from trainer.system import json_files
from trainer.system.errors import UsageError
from trainer.tuning import child_run

Repeats = Mapping[str, Mapping[str, Any]]  # name of a run's folder -> the fields that differ


def by_seed(config: ConfigDict, seeds: int) -> Repeats:
    """Returns repeats whose seeds count up from the config's own."""
    return {f"seed-{seed}": {"seed": seed} for seed in range(config.seed, config.seed + seeds)}


def by_fold(config: ConfigDict) -> Repeats:
    """Returns repeats on each fold that `radiograph prepare --folds` wrote below `data.path`.

    Raises:
      UsageError: if there are no two folds.
    """
    folds, number = dict[str, dict[str, Any]](), 1
    while (path := epath.Path(config.data.path) / f"fold-{number}").exists():
        folds[f"fold-{number}"] = {"data.path": str(path)}
        number += 1
    if len(folds) < 2:
        raise UsageError(
            f"data.path={config.data.path} has no folders fold-1, fold-2 and so on: give the --out "
            "of radiograph prepare --folds=K."
        )
    return folds


def run(
    config: ConfigDict, repeats: Repeats, *, task_flags: Sequence[str], workdir: epath.PathLike
) -> list[epath.Path]:
    """Trains the runs that are missing, and resumes one that was stopped.

    A run that fails ends the series: a mean without it would be better than what the config gives.
    Must be called from the main thread.

    Args:
      config: of all runs.
      repeats: the fields in which each differs.
      task_flags: flags of trainer.task that give `config`.
      workdir: folder of the runs.

    Returns:
      the folder of each run.

    Raises:
      UsageError: if the folder has runs of another config or on other data.
      Stopped: at a signal.
      RunFailed: if a run failed.
      CannotWrite: if the folder cannot be used.
    """
    workdir, runs = epath.Path(workdir), list[epath.Path]()
    with child_run.series(workdir) as signals:
        for name, fields in repeats.items():
            runs.append(workdir / name)
            title = f"{name}, {len(runs)} of {len(repeats)}"
            child_run.check_not_stopped(signals, f"before {title}")
            own = config.copy_and_resolve_references()
            own.update_from_flattened_dict(fields)
            if not _is_finished(runs[-1], own):
                print(title, flush=True)
                flags = [*task_flags, *(f"--config.{path}={v}" for path, v in fields.items())]
                child_run.train(runs[-1], flags, title=title, signals=signals)
    return runs


def _is_finished(run: epath.Path, config: ConfigDict) -> bool:
    """Returns whether all epochs of a run are trained and evaluated.

    Raises:
      UsageError: if it is a run of another config or on other data.
    """
    if not (run / "config.json").exists():
        return False
    saved = json_files.read(run / "config.json")
    schema.check_same_run(config, saved)
    if not (run / "evaluation/test.json").exists():
        return False
    data = summary_file.read(summary_file.root(config.data.path))
    if data and not summary_file.is_same(json_files.read(run / "data_summary.json"), data):
        raise UsageError(
            f"data.path={config.data.path} is not the data set that {run} was trained on: give the "
            "path where that lies now, or name another --workdir."
        )
    return saved["train"]["epochs"] == config.train.epochs
