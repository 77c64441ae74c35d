"""The work directory of a run: held by one job at a time, and described before training begins."""

import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from etils import epath
from ml_collections import ConfigDict

from trainer import network_names
from trainer.data.prepared_data import PreparedData
from trainer.distribute.replicas import Replicas
from trainer.system import atomic, environment, file_lock, gcs, json_files
from trainer.system.errors import UsageError
from trainer.training.error_translation import translate_errors
from trainer.training.run_checks import BEGUN, check_folder, check_own_files, own_files

# What becomes of a damaged record that is made anew.
AUDIT = "that of the data set takes its place"
STARTS = "the record of starts begins anew"

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

    The config comes first: a folder that has one is a run's. How the run ends before it is finished
    is written too; of one that is refused before its first checkpoint nothing of its own stays, so
    that the same command can begin it once what was wrong is mended. `sleep` waits for a job that
    may have ended, and may raise.

    Raises:
      UsageError: if another job is at work in it, if its run began with another config or on other
        data, or if it holds files of another program under the names that a run writes.
    """
    gcs.make_folder(workdir)
    with file_lock.held(workdir, sleep=sleep):
        atomic.remove_leftovers(workdir)
        check_folder(workdir, config, data.summary)
        network_names.check(config.model.name, workdir)
        check_own_files(config, workdir)
        file = workdir / "config.json"
        if begins := not file.exists():
            atomic.write_json(file, config.to_dict())
        elif config.train.epochs != (saved := json_files.read(file))["train"]["epochs"]:
            atomic.write_json(file, saved | {"train": config.train.to_dict()})
        before = {path.name for path in workdir.iterdir()} - {file.name}
        own, copy = network_names.own(config.model.name), workdir / network_names.SOURCE
        if own and own.is_file and not copy.exists():
            atomic.write_text(copy, network_names.read(own, epath.Path(own.source)))
        for file, copy in own_files(config, workdir).items():
            if not copy.exists():
                atomic.write_text(copy, file.read_text())
        if not (workdir / "data_summary.json").exists():
            atomic.write_json(workdir / "data_summary.json", data.summary)
            _write_audit(workdir, data)
        audit = workdir / "audit.json"
        if audit.exists() and not json_files.set_aside_if_damaged(audit, _check_audit, AUDIT):
            _write_audit(workdir, data)
        file = workdir / "environment.json"
        if not json_files.set_aside_if_damaged(file, environment.check, STARTS):
            described = environment.describe(replicas.devices) | {"starts": []}
            atomic.write_json(file, described)
        try:
            with translate_errors(workdir, data, replicas):
                yield
        except Exception as error:
            refused = isinstance(error, UsageError) and begins
            with suppress(Exception):  # it may be the folder that fails
                if refused and not (workdir / "checkpoints").exists():
                    _remove_begun(workdir, before)
                else:
                    _record_end(file, error)
            raise


def _remove_begun(workdir: epath.Path, before: Set[str]) -> None:
    """Removes what a run has begun in a folder, and its config last: it marks a run.

    What was there before it stays, and what others write there, such as a log.
    """
    begun = [path for path in workdir.iterdir() if path.name in {*BEGUN} - before]
    for path in sorted(begun, key=lambda path: path.name == "config.json"):
        path.rmtree() if path.is_dir() else path.unlink()


def _record_end(file: epath.Path, error: Exception) -> None:
    """Adds to the record of starts how the last of them ended, for lists of runs."""
    if gcs.is_gcs(file) and gcs.is_transient(error):  # nor would the bucket take this
        return
    code = getattr(error, "exit_code", 1)
    reason = (str(error) or repr(error)).splitlines()[0]
    ended = environment.ended(code, reason)
    atomic.write_json(file, json_files.read(file) | {"ended": ended})


def _write_audit(workdir: epath.Path, data: PreparedData) -> None:
    if audit := data.audit():
        atomic.write_text(workdir / "audit.json", audit)


def _check_audit(audit: Mapping[str, Any]) -> None:
    for finding in (audit["verdict"], *audit["findings"]):
        finding.keys()


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
