"""The training job, top to bottom in the order in which it happens."""

import json
import shlex

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.checkpoint import checkpoint
from trainer.cloud import hypertune
from trainer.config import schema
from trainer.data import dataset, pipeline, staging
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas, connect
from trainer.report import run_page
from trainer.show import summaries
from trainer.show.logger import Logger, conclude
from trainer.system import atomic, environment, file_lock, gcs
from trainer.system.errors import NotFinite, Stopped, UsageError
from trainer.system.terminal import LiveLine
from trainer.training import error_translation, evaluator, profiling, run_paths, step
from trainer.training.loop_timer import LoopTimer
from trainer.training.profiling import Profile
from trainer.training.progress import Progress
from trainer.training.run import Job
from trainer.training.state import create_state

# What a run writes into its work directory under names that another program may use too.
WRITTEN = (
    *("data_summary.json", "environment.json", "history.json", "audit.json", "report.html"),
    *("evaluation", "pictures"),
)


def train_and_evaluate(
    config: ConfigDict,
    workdir: epath.PathLike,
    line: LiveLine | None = None,
    events: epath.PathLike | None = None,
) -> dict | None:
    """Trains, or goes on where the work directory stands, and evaluates the best checkpoint.

    Every worker of a run calls it; the chief alone writes.

    Args:
      config: see `trainer.config.schema`.
      workdir: where everything is written; an unfinished run in it is taken up again.
      line: where the progress is shown.
      events: folder of TensorBoard's events; by default `tensorboard/` in the work directory.

    Returns:
      the evaluation of the test split, as in `evaluation/test.json`; on the chief alone.

    Raises:
      ExitError: a subclass for each way in which the run can end early.
    """
    schema.check(config)
    workdir, line = epath.Path(workdir), line or LiveLine()
    events = epath.Path(events or workdir / run_paths.EVENTS)
    data = config.data.path and staging.local(config.data.path)
    splits = {name: pipeline.open_split(data, name) for name in dataset.SPLITS}
    replicas = connect(config)
    with error_translation.translate_errors(workdir, replicas), StopSignals() as signals, line:
        if not replicas.chief:
            quiet = LiveLine(quiet=True)
            return _run(config, workdir, events, replicas, splits, signals, quiet)
        gcs.make_folder(workdir)
        with file_lock.held(workdir):
            atomic.remove_leftovers(workdir)
            _begin(workdir, config, replicas)
            return _run(config, workdir, events, replicas, splits, signals, line)


def train(job: Job, record: Progress) -> None:
    """Takes the steps that are left, evaluating and saving at the end of each epoch."""
    config, split, chief = job.config, job.splits["train"], job.replicas.chief
    every_steps = config.checkpoint.every_steps
    images = pipeline.pixels(split, config.data.image_size, config.data.cache, config.data.fit)
    diary, saver = None, None
    if chief:
        diary = Logger(job, hypertune.from_environment())
        saver = checkpoint.Saver(job.checkpoints, config.checkpoint.keep)
        if record.step == 0:
            diary.begin(split)
        job.line.show("compiling the training step ...", at_once=True)
    validation = job.evaluator("validation")
    loop = step.train_loop(job.replicas.strategy, job.state, config, class_weights(config, split))
    batches, pace = job.batches(images, record.step), LoopTimer(job.replicas, job.signals)
    trace = Profile(profiling.bounds(config) if chief else [], job.events / "train")

    def save() -> None:
        if chief:
            diary.checkpoint(saver)
            progress = record.progress() | {"events": diary.flush()}
            saver.save(job.state.variables(), {"scores": record.scores}, progress)

    try:
        while record.epoch < config.train.epochs:
            if record.step == job.epoch_end(record.epoch + 1):
                job.line.show("evaluating ...", at_once=True)
                scores = validation.scores()
                record.end_epoch(split.labels, scores, job.learning_rate)
                if chief:
                    diary.epoch(record, scores)
                save()
                continue
            trace.at(record.step)
            steps = pace.steps(job.steps_until_a_stop(record.step, record.epoch))
            result = loop(batches, steps)
            _check_finite(job, record, result.losses, saver)
            record.add_loop(result)
            if chief:
                diary.loop(record, result, pace)
            pace.end_loop(steps, result.seconds)
            if every_steps and record.step % every_steps == 0:
                save()
    except Stopped as stopped:
        save()
        if chief:
            saver.wait()
        raise Stopped(stopped.number, _where_it_stopped(job, record, stopped)) from None
    except tf.errors.OpError:  # such as a lost worker: what is being written is good
        if chief:
            saver.wait()
        raise
    finally:
        trace.close()
    if chief:
        saver.wait()
        diary.checkpoint(saver)
        diary.flush()


def evaluate_best(job: Job, record: Progress) -> dict | None:
    """Scores validation and test with the best checkpoint, and writes the report on the chief."""
    best = record.best
    folder = checkpoint.path(job.checkpoints, best["step"], best["epoch"])
    if job.replicas.chief:
        checkpoint.check(folder)
        job.line.show("evaluating the best epoch ...", at_once=True)
    job.replicas.sum([0.0])  # all have written and looked
    checkpoint.restore(folder, job.state.variables(), ("scores",))
    validation, test = (job.evaluator(name).scores() for name in ("validation", "test"))
    result = None
    if job.replicas.chief:
        chosen, seed = evaluator.chosen_on(validation), job.config.seed
        for name, scores in (("validation", validation), ("test", test)):
            split = job.splits[name]
            result = evaluator.write(job.workdir, split, scores, chosen, best, seed)
        job.line.show("drawing what the network has learnt ...", at_once=True)
        conclude(job, test, chosen, best["step"])
        page = run_page.write(job.workdir, job.config.report.references)
        job.line.clear()
        print(f"\n{evaluator.table(result)}\n\nreport: {page}")
        run = shlex.quote(str(job.events.parent))
        print(f"TensorBoard: scripts/tensorboard.sh {run}", flush=True)
    job.replicas.sum([0.0])  # the chief leads the cluster: it stays until the others are done
    return result


def class_weights(config: ConfigDict, split: pipeline.Split) -> np.ndarray:
    """Returns the weights of negative and positive examples, [2, K] float32.

    Balanced, both count as much in all, for each label.
    """
    if config.loss.class_weights == "none":
        return np.ones((2, len(split.labels)), np.float32)
    counts = np.array(split.counts, np.float32).T[::-1]  # of positives and negatives
    return counts.sum(0) / (2 * np.maximum(counts, 1))


def _begin(workdir: epath.Path, config: ConfigDict, replicas: Replicas) -> None:
    """Writes what describes the run: its config first, which says that the folder is a run's.

    Raises:
      UsageError: if the run has begun with another config, or the folder holds other files under
        the names that a run writes.
    """
    file = workdir / "config.json"
    if file.exists():
        schema.check_same_run(config, json.loads(file.read_text()))
    else:
        _refuse_others(workdir)
        atomic.write_json(file, config.to_dict())
    if not (workdir / "data_summary.json").exists():
        atomic.write_json(workdir / "data_summary.json", dataset.read_summary(config.data.path))
        audit = epath.Path(config.data.path) / "audit.json"
        if audit.exists():
            atomic.write_text(workdir / "audit.json", audit.read_text())
    if not (workdir / "environment.json").exists():
        atomic.write_json(workdir / "environment.json", environment.describe(replicas.devices))


def _refuse_others(workdir: epath.Path) -> None:
    """Raises a UsageError if files that a run would write are there without a run."""
    others = [name for name in WRITTEN if (workdir / name).exists()]
    if others:
        raise UsageError(
            f"--workdir={workdir} holds no run (it has no config.json), but {', '.join(others)}, "
            "which a run would overwrite: name another --workdir, or move that elsewhere."
        )


def _run(
    config: ConfigDict,
    workdir: epath.Path,
    events: epath.Path,
    replicas: Replicas,
    splits: dict[str, pipeline.Split],
    signals: StopSignals,
    line: LiveLine,
) -> dict | None:
    images, batch = splits["train"].size, config.train.batch_size
    labels = splits["train"].labels
    total_steps = pipeline.steps(config.train.epochs * images, batch)
    with replicas.strategy.scope():
        state = create_state(config, total_steps, pipeline.steps(images, batch), len(labels))
    job = Job(config, workdir, replicas, splits, state, total_steps, signals, line, events)
    record = _restore(job)
    if replicas.chief:
        line.settle(
            f"{config.name}: {state.model.count_params():,} parameters, {replicas}, "
            f"{total_steps:,} steps of {batch} images"
            + (f", going on at step {record.step:,}" if record.step else "")
        )
    if record.epoch < config.train.epochs:
        train(job, record)
    return evaluate_best(job, record)


def _restore(job: Job) -> Progress:
    """Returns the record of the newest checkpoint and restores it, as the chief chooses it."""
    newest, choice = None, [0.0, 0.0, 0.0]
    if job.replicas.chief:
        newest = checkpoint.newest(job.checkpoints)
        if newest:
            choice = [1.0, *map(float, checkpoint.step_and_epoch(newest))]
    found, at_step, epoch = map(int, job.replicas.broadcast_from_chief(choice))
    record, lengths = Progress(), {}
    if found:
        folder = checkpoint.path(job.checkpoints, at_step, epoch)
        progress, arrays = checkpoint.restore(folder, job.state.variables(), ("scores",))
        record, lengths = Progress.from_progress(progress, arrays["scores"]), progress["events"]
    if job.replicas.chief:
        summaries.rewind(job.events, lengths)
        atomic.write_json(job.workdir / "history.json", record.history)
    return record


def _check_finite(
    job: Job, record: Progress, losses: np.ndarray, saver: checkpoint.Saver | None
) -> None:
    """Raises NotFinite, unless half precision may recover from it with a smaller loss scale."""
    bad = np.flatnonzero(~np.isfinite(losses))
    may_recover = job.config.precision == "mixed_float16" and job.state.loss_scale >= 1.0
    if bad.size and not may_recover:
        what = f"the loss is {losses[bad[0]]} at step {record.step + int(bad[0]) + 1}"
    elif not job.state.finite:
        what = f"a weight is infinite or no number at step {record.step + len(losses)}"
    else:
        return
    if saver:
        saver.wait()  # the last one counts too
    good = checkpoint.complete(job.checkpoints)
    raise NotFinite(
        f"{what}, learning rate {job.learning_rate:.3g}; the last good checkpoint is "
        f"{good[-1] if good else 'none yet'}. Lower optimizer.learning_rate or set "
        "optimizer.clip_norm=1, in another --workdir."
    )


def _where_it_stopped(job: Job, record: Progress, stopped: Stopped) -> str:
    after = f", {job.signals.seconds:.1f} s after the signal" if job.signals.received else ""
    return (
        f"by {stopped.number.name} at step {record.step:,} of {job.total_steps:,}, which is "
        f"saved{after}; the same command goes on from there."
    )
