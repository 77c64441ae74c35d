"""The runs below a folder, as far as what is on disk says how they are: no TensorFlow."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from etils import epath

from trainer.system import file_lock, gcs, json_files, threads
from trainer.system.errors import RESUMABLE, UsageError
from trainer.training.patience import is_exhausted
from trainer.training.run_files import PRETRAINED, RunFiles

# What a folder with a config.json is a run by.
MARKS = ("environment.json", "history.json", "checkpoints", file_lock.FILE)
# Folders that hold no runs: those of a run, of a data set, and of programs.
NEVER = ("checkpoints", "evaluation", "pictures", "stacks", "tensorboard", "radiographs")
AT_ONCE = 8  # runs that are read at once


@dataclass(frozen=True)
class ListedRun:
    """A run as a list shows it; what is not known is None.

    Attributes:
      run: its path below the folder that was searched.
      state: finished, running, stopped, failed, or damaged where its files cannot be read.
      epoch: finished epochs.
      epochs: of its config.
      auc: the best of validation, at the end of an epoch or at a step that could be the best.
      data: path of its data set.
      dataset_fingerprint: the identity of that.
      started: when it was first started, with its time zone.
      git_commit: of the program at its newest start.
      reason: why it was stopped, failed, or is damaged.
    """

    run: str
    state: str
    epoch: int = 0
    epochs: int | None = None
    auc: float | None = None
    data: str | None = None
    dataset_fingerprint: str | None = None
    started: datetime | None = None
    git_commit: str | None = None
    reason: str | None = None


def below(folder: epath.PathLike) -> list[ListedRun]:
    """Returns the runs in and below a folder, by name.

    Raises:
      UsageError: if there is no such folder.
    """
    root = epath.Path(folder)
    if not gcs.is_folder(root):
        raise UsageError(f"there is no folder {folder}: give one that runs were written below.")
    found = threads.map_in_order(lambda run: _read(run, root), _runs(root), threads=AT_ONCE)
    return sorted(found, key=lambda listed: listed.run)


def _runs(folder: epath.Path) -> Iterator[epath.Path]:
    """Yields the folders that are runs; none is looked for behind a link."""
    try:
        children = {child.name: child for child in folder.iterdir()}
    except OSError:  # such as a folder that may not be read
        return
    if "config.json" in children and children.keys() & {*MARKS}:
        yield folder
    for name, child in children.items():
        skipped = name in NEVER or name.startswith(".") or os.path.islink(child)
        if not skipped and child.is_dir():
            yield from _runs(child)


def _read(folder: epath.Path, root: epath.Path) -> ListedRun:
    name = str(folder.relative_to(root))
    name = folder.name if name == "." else name
    try:
        return ListedRun(name, **_facts(RunFiles(folder, ["config.json"])))
    except (UsageError, OSError, *json_files.DAMAGE) as error:
        reason = (
            str(error) if isinstance(error, UsageError) else f"its files are damaged ({error!r})"
        )
        return ListedRun(name, "damaged", reason=reason.replace(f"{folder}/", ""))


def _facts(run: RunFiles) -> dict[str, Any]:
    """Returns the attributes of a `ListedRun`; raises an error if a file is damaged."""
    settings, folder = run.settings, run.workdir
    history = run.history if (folder / "history.json").exists() else []
    environment = run.environment if (folder / "environment.json").exists() else None
    at_steps = [row for row in run.evaluations if row["reason"] == "steps"]
    aucs = [row["validation"]["auc"] for row in [*history, *at_steps]]
    stopping = settings.get("checkpoint.best_by", "auc"), settings.get("train.patience", 0)
    finished = len(history) >= settings["train.epochs"] or is_exhausted(history, *stopping)
    result = PRETRAINED if settings.get("pretrain.method") else "evaluation/test.json"
    finished = finished and (folder / result).exists()
    ended = _end(environment) if environment and not finished else {}
    state = "finished" if finished else _state_of(ended)
    return {
        "state": "running" if file_lock.is_held(folder) else state,
        "epoch": len(history),
        "epochs": int(settings["train.epochs"]),
        "auc": max((float(auc) for auc in aucs if auc is not None), default=None),
        "data": str(settings["data.path"]),
        "dataset_fingerprint": (
            str(run.dataset_fingerprint) if (folder / "data_summary.json").exists() else None
        ),
        "started": run.started.astimezone(UTC) if environment else None,
        "git_commit": run.starts[-1]["git_commit"] if environment and run.starts else None,
        "reason": ended.get("reason"),
    }


def _end(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns how the newest start ended, as far as that is known."""
    ended, starts = environment.get("ended") or {}, environment.get("starts") or [environment]
    return ended if ended.get("time", "") >= starts[-1]["started"] else {}


def _state_of(ended: Mapping[str, Any]) -> str:
    """Returns the state of a run that is neither finished nor running."""
    code = ended.get("code", RESUMABLE[0])  # it was killed, or is of an earlier version
    return "stopped" if code in RESUMABLE or code > 128 else "failed"
