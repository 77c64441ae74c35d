"""Trains a stretch of a run again, between two kept checkpoints, and compares what comes out."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer import train
from trainer.checkpoint import checkpoint
from trainer.checkpoint.saver import NoSaver
from trainer.config import schema
from trainer.data import dataset, summary_file
from trainer.data.prepared_data import PreparedData, open_data
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas, connect
from trainer.report import model_card
from trainer.show.logger import Logger
from trainer.system import atomic, environment, gcs
from trainer.system.errors import Stopped, UsageError
from trainer.system.watchdog import Watchdog
from trainer.training import run_paths
from trainer.training.error_translation import translate_errors
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.run import check_replicas, create_run
from trainer.training.run_checks import check_data
from trainer.training.run_files import PRETRAINED, RunFiles
from trainer.training.step import LoopResult

NEEDED = ("config.json", "environment.json", "data_summary.json")
STEP_LOSS = "training/step_loss"
TIMINGS = ("seconds", "images_per_second", "input_wait")  # no two runs have the same


@dataclass(frozen=True)
class Replay:
    """What a stretch of a run came to the second time.

    Attributes:
      start: the step it began at.
      end: the step it ended at.
      compared: what was compared, in words.
      differences: what came out otherwise, and by how much; none where all bits are the same.
      causes: what is otherwise than when the run was trained: versions, devices, processor, data.
    """

    start: int
    end: int
    compared: str
    differences: list[str]
    causes: list[str]

    def __str__(self) -> str:
        steps = f"steps {self.start} to {self.end}"
        if not self.differences:
            return f"{steps} give the same weights bit for bit: {self.compared} were compared."
        same = "versions, devices, processor and data set are those of the run"
        causes = "; ".join(self.causes) or same
        return f"{steps} differ: {'; '.join(self.differences)} ({causes})."


class StepLosses(Logger):
    """Keeps the loss of every step, and the number of the step before the first."""

    def __init__(self, start: int):
        self.start, self.losses = start, list[np.float32]()

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Keeps those of a loop."""
        self.losses += list(result.losses)

    def mean(self, after: int, upto: int) -> np.float32:
        """Returns the mean loss of the steps after one and up to another."""
        return np.array(self.losses[after - self.start : upto - self.start], np.float32).mean()


def replay(
    workdir: epath.PathLike, *, start: int | None = None, end: int | None = None, data: str = ""
) -> Replay:
    """Restores a kept checkpoint, trains to the next one, and compares; writes nothing there.

    Args:
      workdir: of the run, finished or not.
      start: the step to begin at, 0 for a new network; by default the last but one that is kept.
      end: the step to end at; by default that of the next checkpoint.
      data: where the run's data set lies now, "" for where it lay.

    Raises:
      UsageError: if the run keeps no such checkpoints, or was trained by several processes.
      ExitError: another one, as from training.
    """
    saved = RunFiles(workdir, NEEDED)
    config = schema.from_saved(saved.config)
    config.data.path = data or config.data.path
    if config.distribute.strategy == "multi_worker":
        raise UsageError(
            f"{workdir} was trained by several workers, which one process cannot repeat bit for "
            "bit: replay a run with another distribute.strategy."
        )
    before, after = stretch(saved.workdir / "checkpoints", start, end)
    opened = open_data(config.data.path)
    check_data(config, opened.summary)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()
    replicas = connect(config.distribute, partial(check_replicas, config))
    variables, progress, losses = _train(config, opened, replicas, before=before, after=after)

    kept = checkpoint.read(after)
    kept_progress = checkpoint.read_progress(after)
    logged = _logged_losses(saved.workdir / run_paths.EVENTS / "train", losses.start, progress.step)
    rows = [row for row in progress.history if row["step"] > losses.start]
    differences = [
        *_different_arrays(kept, variables | {"scores": progress.scores}),
        *_different_losses(logged, losses),
        *_different_rows(kept_progress["history"], rows),
    ]
    compared = f"{len(kept)} variables, logged losses ({len(logged)}) and epochs ({len(rows)})"
    causes = _causes(saved, opened, replicas, at_step=losses.start) if differences else []
    if differences and replicas.device_kind != "CPU" and not config.train.deterministic:
        causes.append("train.deterministic=false lets kernels of a GPU add in any order")
    return Replay(losses.start, progress.step, compared, differences, causes)


def record(workdir: epath.PathLike, found: Replay) -> None:
    """Writes the result into `replay.json` of the run, which its model card names."""
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "from": found.start,
        "to": found.end,
        "equal": not found.differences,
        "sentence": str(found),
    }
    folder = epath.Path(workdir)
    atomic.write_json(folder / model_card.REPLAY, content)
    if not (folder / PRETRAINED).exists():  # which has no card
        model_card.write(workdir)


def stretch(
    root: epath.Path, start: int | None, end: int | None
) -> tuple[epath.Path | None, epath.Path]:
    """Returns the checkpoints to begin and to end at, the first None for a new network.

    Raises:
      UsageError: if the run keeps none such, or one of them is damaged.
    """
    kept = {checkpoint.step_and_epoch(folder)[0]: folder for folder in checkpoint.complete(root)}
    steps = sorted(kept)
    if start is None:
        start = steps[-2] if end is None and len(steps) > 1 else None
        earlier = [step for step in steps if end is not None and step < end]
        start = earlier[-1] if earlier else start
    later = [step for step in steps if start is not None and step > start]
    end = later[0] if end is None and later else end
    if start is None or end not in later or start not in {0, *steps}:
        raise UsageError(
            f"{root} keeps the checkpoints of steps {', '.join(map(str, steps)) or 'none'}: give "
            "--from and --to two of them, --from=0 for the start of the run, or train with a "
            "larger checkpoint.keep."
        )
    for folder in filter(None, (kept.get(start), kept[end])):
        if damage := checkpoint.damage_of(folder):
            raise UsageError(f"{folder} is damaged ({damage}): give other steps.")
    return kept.get(start), kept[end]


def _train(
    config: ConfigDict,
    data: PreparedData,
    replicas: Replicas,
    *,
    before: epath.Path | None,
    after: epath.Path,
) -> tuple[dict[str, np.ndarray], Progress, StepLosses]:
    """Returns variables, progress and losses at the step of `after`."""
    with tempfile.TemporaryDirectory() as folder:
        workdir = epath.Path(folder)
        with (
            translate_errors(workdir, data, replicas),
            StopSignals() as signals,
            Watchdog(workdir / "stacks", 0, config.train.hang_minutes) as watchdog,
        ):
            run = create_run(
                config,
                workdir,
                workdir / run_paths.EVENTS,
                data=data,
                replicas=replicas,
                signals=signals,
                watchdog=watchdog,
            )
            progress = Progress()
            if before:
                restored = checkpoint.restore(before, run.state.variables(), ("scores",))
                progress = Progress.from_dict(restored[0], restored[1]["scores"])
            losses, until = StepLosses(progress.step), checkpoint.step_and_epoch(after)
            try:
                train.train(run, progress, losses, saver=NoSaver(), until=until)
            except Stopped as stopped:
                raise Stopped(
                    stopped.number, f"by {stopped.number.name}; nothing was compared."
                ) from None
            variables = {name: np.array(v.numpy()) for name, v in run.state.variables().items()}
    return variables, progress, losses


def _logged_losses(events: epath.Path, start: int, end: int) -> list[tuple[int, int, float]]:
    """Returns the logged losses of a stretch: each the mean of the steps after one up to another.

    None of a run whose events lie elsewhere, or are no longer there.
    """
    if not gcs.is_folder(events):
        return []
    found = EventAccumulator(str(events), {"tensors": 0}).Reload()
    if STEP_LOSS not in found.Tags()["tensors"]:
        return []
    points = {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in found.Tensors(STEP_LOSS)}
    steps = [step for step in sorted(points) if start < step <= end]
    return [
        (after, upto, points[upto]) for after, upto in zip([start, *steps], steps, strict=False)
    ]


def _different_arrays(kept: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray]) -> list[str]:
    """Says how many variables have other bits, and which is farthest off."""
    apart = {}
    for name, array in kept.items():
        other = ours.get(name)
        if other is None or other.shape != array.shape:
            apart[name] = np.inf
        elif other.tobytes() != array.tobytes():
            apart[name] = np.max(np.abs(array.astype(np.float64) - other))
    if not apart:
        return []
    name = max(apart, key=lambda name: np.nan_to_num(apart[name], nan=np.inf))
    return [f"{len(apart)} of {len(kept)} variables, {name} by up to {apart[name]:.2g}"]


def _different_losses(logged: list[tuple[int, int, float]], losses: StepLosses) -> list[str]:
    """Says from which step on the losses are others."""
    pairs = [(upto, loss, losses.mean(after, upto)) for after, upto, loss in logged]
    different = [(upto, abs(loss - ours)) for upto, loss, ours in pairs if loss != float(ours)]
    if not different:
        return []
    first, apart = different[0][0], max(apart for _, apart in different)
    return [f"{len(different)} of {len(logged)} losses, the first of step {first}, by {apart:.2g}"]


def _different_rows(kept: list[dict], ours: list[dict]) -> list[str]:
    """Names the metrics of the epochs that are others."""
    by_epoch = {row["epoch"]: _flat(row) for row in kept}
    found = [
        f"epoch {row['epoch']}: {name} {by_epoch[row['epoch']].get(name)}, now {value}"
        for row in ours
        for name, value in _flat(row).items()
        if by_epoch[row["epoch"]].get(name) != value
    ]
    more = f" (and {len(found) - 1} more metrics)" if len(found) > 1 else ""
    return [found[0] + more] if found else []


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns the values of a nested mapping by their paths, without timings."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif name not in TIMINGS:
            flat[prefix + name] = value
    return flat


def _causes(saved: RunFiles, data: PreparedData, replicas: Replicas, *, at_step: int) -> list[str]:
    """Says which versions, devices, processor and data are others than at a step of the run."""
    then = [start for start in saved.starts if start.get("step", 0) <= at_step][-1]
    now = environment.describe(replicas.devices) | {"device_kind": replicas.device_kind}
    pairs = [
        *((package, then["versions"].get(package), v) for package, v in now["versions"].items()),
        ("commit", then["git_commit"], now["git_commit"]),
        ("host", then.get("host"), now["host"]),
        ("kind of device", then.get("device_kind"), now["device_kind"]),
        ("the processor's arithmetic", *map(environment.arithmetic, (then, now))),
        ("number of devices", len(then["devices"]), len(now["devices"])),
        ("data set", saved.dataset_fingerprint[:16], data.summary["dataset_fingerprint"][:16]),
    ]
    found = [f"{name} was {old}, is {new}" for name, old, new in pairs if old and old != new]
    if not gcs.is_gcs(data.path) and "shards" in data.summary:
        shards = {
            shard["file"]: shard for shard in dataset.shards(summary_file.directory(data.path))
        }
        found += [
            f"{shard['file']} of the data set has changed since it was prepared"
            for shard in data.summary["shards"]
            if shards.get(shard["file"]) != shard
        ]
    return found
