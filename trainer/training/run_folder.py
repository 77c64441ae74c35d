"""The work directory of a run: held by one job at a time, and described before training begins."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from trainer.config import schema
from trainer.data import summary_file
from trainer.data.prepared_data import PreparedData
from trainer.distribute.replicas import Replicas
from trainer.system import atomic, environment, file_lock, gcs, json_files
from trainer.system.errors import UsageError

# What a run writes into its work directory under names that another program may use too.
WRITTEN = (
    *("data_summary.json", "environment.json", "history.json", "audit.json", "report.html"),
    *("evaluation", "pictures"),
)

# What becomes of a damaged record that is made anew.
AUDIT = "that of the data set takes its place"
STARTS = "the record of starts begins anew"
FROM_BACKUP = "bring it back from a backup"

# What a data set was made from, and how.
RECIPE = (
    *("fingerprint", "max_side", "keep_official_validation", "any_view", "uniform"),
    *("labels", "classes", "exclusive", "splits"),
)

# File systems over the network show a new file to other machines after a while.
VISIBLE_SECONDS = 60.0


@contextmanager
def run_folder(
    workdir: epath.Path,
    config: ConfigDict,
    data: PreparedData,
    *,
    replicas: Replicas,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Makes the work directory, keeps other jobs out of it, and writes what describes the run.

    The config comes first: a folder that has one is a run's. `sleep` waits for a job that may have
    ended, and may raise.

    Raises:
      UsageError: if another job is at work in it, if its run began with another config or on other
        data, or if it holds files of another program under the names that a run writes.
    """
    gcs.make_folder(workdir)
    with file_lock.held(workdir, sleep=sleep):
        atomic.remove_leftovers(workdir)
        file = workdir / "config.json"
        if file.exists():
            saved = json_files.read(file, remedy=FROM_BACKUP)
            schema.check_same_run(config, saved)
            if config.train.epochs != saved["train"]["epochs"]:
                atomic.write_json(file, saved | {"train": config.train.to_dict()})
        else:
            _refuse_other_files(workdir)
            atomic.write_json(file, config.to_dict())
        if (workdir / "data_summary.json").exists():
            file = workdir / "data_summary.json"
            remedy = f"{FROM_BACKUP}, or delete it if {data.path} is what the run began on"
            saved = json_files.read(file, remedy=remedy)
            with json_files.damage_reported(file, remedy):
                _described(saved)
            check_same_data(saved, data)
        else:
            atomic.write_json(workdir / "data_summary.json", data.summary)
            _write_audit(workdir, data)
        audit = workdir / "audit.json"
        if audit.exists() and not json_files.set_aside_if_damaged(audit, _check_audit, AUDIT):
            _write_audit(workdir, data)
        file = workdir / "environment.json"
        if not json_files.set_aside_if_damaged(file, environment.check, STARTS):
            described = environment.describe(replicas.devices) | {"starts": []}
            atomic.write_json(file, described)
        yield


def _write_audit(workdir: epath.Path, data: PreparedData) -> None:
    if audit := data.audit():
        atomic.write_text(workdir / "audit.json", audit)


def _check_audit(audit: Mapping[str, Any]) -> None:
    for finding in (audit["verdict"], *audit["findings"]):
        finding.keys()


def check_same_data(saved: Mapping[str, Any], data: PreparedData) -> None:
    """Raises a UsageError unless the data set is the one that a run began on, wherever it lies.

    Args:
      saved: the content of the run's data_summary.json. Where a version without fingerprints wrote
        it, data that were made from the same files in the same way are the same.
      data: what the run is to go on with.
    """
    identity = ("dataset_fingerprint",) if "dataset_fingerprint" in saved else RECIPE
    if any(saved.get(name) != data.summary.get(name) for name in identity):
        raise UsageError(
            f"data.path={data.path} ({_described(data.summary)}) is not the data set on which this "
            f"work directory was begun ({_described(saved)}): give the path where that lies now, "
            "or name another --workdir."
        )


def _described(summary: Mapping[str, Any]) -> str:
    images = [f"{split['images']:,} {name}" for name, split in summary["splits"].items()]
    fingerprint = summary_file.with_fingerprint(summary)["dataset_fingerprint"]
    return f"{', '.join(images)}, from {summary['source']}, dataset_fingerprint {fingerprint[:16]}"


def check_shared(workdir: epath.Path, replicas: Replicas) -> None:
    """Raises a UsageError on all workers unless all see the work directory that the chief has made.

    Every worker calls it, the chief inside `run_folder`.
    """
    replicas.barrier()  # the chief has written the config
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not (seen := (workdir / "config.json").exists()) and time.monotonic() < deadline:
        time.sleep(1)
    unseen = np.flatnonzero(replicas.gather([float(not seen)]))
    if unseen.size:
        raise UsageError(
            f"worker {unseen[0]} of {replicas.workers} does not see --workdir={workdir}, which "
            "worker 0 has made: name a folder on storage that all workers share."
        )


def _refuse_other_files(workdir: epath.Path) -> None:
    others = [name for name in WRITTEN if (workdir / name).exists()]
    if others:
        raise UsageError(
            f"--workdir={workdir} holds no run (it has no config.json), but {', '.join(others)}, "
            "which a run would overwrite: name another --workdir, or move these files elsewhere."
        )
