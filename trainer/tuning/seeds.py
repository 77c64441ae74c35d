"""One config trained with several seeds, each in a folder of its own."""

from collections.abc import Sequence

from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data import summary_file
from trainer.system import json_files
from trainer.system.errors import UsageError
from trainer.tuning import child_run


def run(
    config: ConfigDict, *, task_flags: Sequence[str], workdir: epath.PathLike, seeds: int
) -> list[epath.Path]:
    """Trains the seeds that are missing, and resumes one that was stopped.

    The first seed is the config's own, the others count up from it. A seed that fails ends the
    series: a mean without it would be better than what the config gives. Must be called from the
    main thread.

    Args:
      config: of all runs but for the seed.
      task_flags: flags of trainer.task that give `config`.
      workdir: folder of the runs.
      seeds: number of seeds in all.

    Returns:
      the folder of each run.

    Raises:
      UsageError: if the folder has runs of another config or on other data.
      Stopped: at a signal.
      RunFailed: if a run failed.
      CannotWrite: if the folder cannot be used.
    """
    workdir, runs = epath.Path(workdir), list[epath.Path]()
    summary = summary_file.read(summary_file.root(config.data.path)) or {}
    with child_run.series(workdir) as signals:
        for seed in range(config.seed, config.seed + seeds):
            runs.append(workdir / f"seed-{seed}")
            title = f"seed {seed}, {len(runs)} of {seeds}"
            child_run.check_not_stopped(signals, f"before {title}")
            own = config.copy_and_resolve_references()
            own.seed = seed
            if not _is_finished(runs[-1], own, summary.get("dataset_fingerprint")):
                print(title, flush=True)
                flags = [*task_flags, f"--config.seed={seed}"]
                child_run.train(runs[-1], flags, title=title, signals=signals)
    return runs


def _is_finished(run: epath.Path, config: ConfigDict, data: str | None) -> bool:
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
    trained_on = json_files.read(run / "data_summary.json").get("dataset_fingerprint")
    if data and trained_on not in (None, data):
        raise UsageError(
            f"data.path={config.data.path} is not the data set that {run} was trained on: give the "
            "path where that lies now, or name another --workdir."
        )
    return saved["train"]["epochs"] == config.train.epochs
