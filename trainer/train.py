"""The training job, read from top to bottom."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath
from ml_collections import ConfigDict

from trainer.checkpoint import checkpoint
from trainer.checkpoint.saver import NoSaver, Saver
from trainer.config import schema
from trainer.data import data_split, examples
from trainer.data.prepared_data import open_data
from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import connect
from trainer.judge import gate, learnt_images
from trainer.metrics import evaluation_files, operating_points
from trainer.metrics.outputs import INDEPENDENT, IndependentLabels
from trainer.metrics.predictions import Predictions
from trainer.report import model_card, run_page
from trainer.show.history_file import HistoryFile
from trainer.show.logger import Evaluation, Logger, Loggers
from trainer.show.metrics_file import MetricsFile
from trainer.show.model_file import ModelFile
from trainer.show.speed_file import SpeedFile
from trainer.show.start_record import StartRecord
from trainer.show.tensorboard import TensorBoard
from trainer.show.terminal_log import TerminalLog
from trainer.system import gcs
from trainer.system.errors import NotFinite, Stopped
from trainer.system.terminal import LiveLine
from trainer.system.watchdog import Watchdog
from trainer.training import initial_weights, optimizer, pretrained, run_paths, step
from trainer.training.error_translation import translate_errors
from trainer.training.loop_timer import LoopTimer
from trainer.training.profiling import Profile
from trainer.training.progress import Progress
from trainer.training.run import Run, check_replicas, create_run, facts
from trainer.training.run_checks import check_data
from trainer.training.run_folder import check_shared, run_folder
from trainer.training.siamese_step import step_class
from trainer.training.speed import Speed

# Clouds leave 30 s between the signal that a machine is taken back and its end.
BUCKET_STOP_SECONDS = 25.0


def train_and_evaluate(
    config: ConfigDict,
    workdir: epath.PathLike,
    *,
    events: epath.PathLike | None = None,
    line: LiveLine | None = None,
    show_test: bool = True,
    loggers: Iterable[Logger] = (),
) -> dict | None:
    """Trains on every replica, resuming where `workdir` stands, and evaluates the chosen epoch.

    Every worker of a run calls it; the chief alone writes.

    Args:
      config: see `trainer.config.schema`.
      workdir: where everything is written, local or gs://.
      events: folder of TensorBoard's events; by default `tensorboard/` in the work directory.
      line: the terminal's live line; by default one on stdout.
      show_test: whether the terminal shows the metrics of the test split, which a search must not.
      loggers: follow the run beside its files, and the terminal and TensorBoard where
        `config.loggers` names them; a tracker that it names is given here, too.

    Returns:
      the evaluation of the test split, as in `evaluation/test.json`; on the chief alone. None of
      a pretraining, which has none.

    Raises:
      ExitError: a subclass for each way in which the run can end early.
    """
    speed = Speed()
    schema.check(config)
    workdir = epath.Path(workdir)
    events = epath.Path(events or workdir / run_paths.EVENTS)
    if config.train.deterministic:
        tf.config.experimental.enable_op_determinism()  # for the whole process
    data = open_data(config.data.path)
    check_data(config, data.summary)
    replicas = connect(config.distribute, partial(check_replicas, config), facts(config, data))
    with ExitStack() as stack:
        stack.enter_context(translate_errors(workdir, data, replicas))
        most_seconds = BUCKET_STOP_SECONDS if gcs.is_gcs(workdir) else None
        signals = stack.enter_context(StopSignals(most_seconds))
        watchdog = Watchdog(workdir / "stacks", replicas.worker, config.train.hang_minutes)
        stack.enter_context(watchdog)
        log = Loggers()
        saver: Saver | NoSaver = NoSaver()
        if replicas.is_chief:
            line = stack.enter_context(line or LiveLine())
            stack.enter_context(
                run_folder(workdir, config, data, replicas=replicas, sleep=signals.sleep)
            )
            shown = {
                "terminal": TerminalLog(line, show_test=show_test),
                "tensorboard": TensorBoard(),
            }
            chosen = [logger for name, logger in shown.items() if name in config.loggers.split(",")]
            always = [HistoryFile(), MetricsFile(), ModelFile(), StartRecord(line)]
            log = Loggers([*always, *chosen, *loggers, SpeedFile()])
            stack.push(lambda kind, error, traceback: log.close(error))
            saver = Saver(workdir / "checkpoints", config.checkpoint.keep)
        check_shared(workdir, replicas)
        run = create_run(
            config,
            workdir,
            events,
            data=data,
            replicas=replicas,
            signals=signals,
            watchdog=watchdog,
            speed=speed,
        )
        with watchdog.watch("start"):
            progress = restore_newest(run, log, saver)
        if not run.is_done(progress):
            train(run, progress, log, saver=saver)
        with watchdog.watch("last evaluation"), speed.spent_on("results"):
            if config.pretrain.method:
                end_pretraining(run, progress, log, saver=saver)
                return None
            return evaluate_chosen(run, progress, log, saver=saver)


def restore_newest(run: Run, log: Logger, saver: Saver | NoSaver) -> Progress:
    """Restores the newest checkpoint, which the chief chooses; step 0 where there is none."""
    found, at_step, epoch = map(int, run.replicas.broadcast_from_chief(saver.newest()))
    progress, saved = Progress(), dict[str, Any]()
    if found:
        folder = checkpoint.path(run.checkpoints, at_step, epoch)
        saved, arrays = checkpoint.restore(folder, run.state.variables(), ("scores",))
        progress = Progress.from_dict(saved, arrays["scores"])
    elif run.config.model.weights:
        state = run.state
        if run.config.pretrain.method:
            source = run_paths.network_source(run.workdir)
            initial_weights.load_backbone(state.model, run.config, source=source)
        else:
            initial_weights.load(state.model, run.config, run.data.labels)
        for averaged, weight in zip(state.averaged.weights, state.model.weights, strict=True):
            averaged.assign(weight)
    log.begin(run, progress, saved)
    return progress


def train(
    run: Run,
    progress: Progress,
    log: Logger,
    *,
    saver: Saver | NoSaver,
    until: tuple[int, int] | None = None,
) -> None:
    """Takes the steps that are left; evaluates and saves at the end of each epoch, and between.

    Args:
      run: the run.
      progress: where its state is, brought forward.
      log: follows it.
      saver: of its checkpoints.
      until: step and number of finished epochs to end at; by default those of the whole training.
    """
    config, split = run.config, run.data.splits["train"]
    last_step, last_epoch = until or (run.total_steps, config.train.epochs)
    batches = run.train_batches(progress.step)
    log.status("compiling the training step ...")
    run.pixels.pixels("validation")  # decoded before the first step: an error comes soon
    take_steps = step.train_loop(
        run.replicas.strategy,
        run.state,
        config,
        class_weights=class_weights(config, split, run.outputs),
        exclusive=run.outputs.exclusive,
        step_class=step_class(config),
    )
    every_steps, every_minutes = config.checkpoint.every_steps, config.checkpoint.every_minutes
    timer = LoopTimer(
        run.replicas,
        run.signals,
        every_minutes,
        evaluation_minutes=config.evaluation.every_minutes,
    )
    trace = Profile(config, run.events / "train", run.replicas)

    def save() -> None:
        content = progress.to_dict() | log.checkpoint_state()
        with run.watchdog.watch("checkpoint"), run.speed.spent_on("checkpoints"):
            saver.save(run.state.variables(), {"scores": progress.scores}, content)
        timer.begin_checkpoint()

    run.set_learning_rate(progress)
    run.speed.begin()
    try:
        while (progress.step, progress.epoch) < (last_step, last_epoch):
            if not until and run.is_done(progress):
                log.message(_why_it_ends(config, progress))
                break
            if progress.step >= run.epoch_end(progress.epoch + 1):
                log.status("evaluating ...")
                with run.watchdog.watch("end of an epoch"):
                    with run.speed.spent_on("evaluation"):
                        scores, test = run.scores_while_training("validation"), None
                        if config.evaluation.test_each_epoch:
                            test = run.scores_while_training("test")
                    limit = run.limit if config.evaluation.every_steps else None
                    progress.end_epoch(
                        split.labels,
                        scores,
                        run.learning_rate,
                        best_by=config.checkpoint.best_by,
                        limit=limit,
                        test=test,
                        measure=run.measure,
                    )
                    run.set_learning_rate(progress)
                    log.epoch(progress, scores)
                timer.begin_evaluation()
                save()
                continue
            if reason := evaluation_due(config, progress, by_clock=timer.evaluation_due):
                evaluate_between(run, progress, log, reason=reason)
                timer.begin_evaluation()
                if progress.best and progress.best["step"] == progress.step:
                    save()
            with run.watchdog.watch("training loop"):
                trace.at(progress.step)
                left = run.steps_until_pause(progress.step, progress.epoch)
                steps = timer.steps(min(left, last_step - progress.step))
                result = run.speed.loop(partial(take_steps, batches, steps), known=timer.known)
                check_finite(run, progress, result, saver=saver)
                progress.add_loop(result)
                log.steps(progress, result, timer)
                log.saved(saver.take_durations())
                timer.end_loop(steps, result.seconds, result.wait_seconds)
            if timer.checkpoint_due or (every_steps and progress.step % every_steps == 0):
                save()
    except Stopped as stopped:
        save()
        saver.wait()
        log.saved(saver.take_durations())
        raise Stopped(stopped.number, _where_it_stopped(run, progress, stopped)) from None
    except tf.errors.OpError:  # such as a lost worker: a checkpoint that is being written is good
        saver.wait()
        raise
    finally:
        trace.close()
    with run.watchdog.watch("checkpoint"), run.speed.spent_on("checkpoints"):
        saver.wait()
    log.saved(saver.take_durations())
    log.checkpoint_state()


def evaluation_due(config: ConfigDict, progress: Progress, *, by_clock: bool) -> str:
    """Returns why an evaluation is due that is not at the end of an epoch, "" where none is."""
    rows = [*progress.evaluations[-1:], *progress.history[-1:]]
    if progress.step in [row["step"] for row in rows]:
        return ""
    if progress.step == 0:
        return "start" if config.evaluation.at_start else ""
    every_steps = config.evaluation.every_steps
    if every_steps and progress.step % every_steps == 0:
        return "steps"
    return "minutes" if by_clock else ""


def evaluate_between(run: Run, progress: Progress, log: Logger, *, reason: str) -> None:
    """Evaluates the network within an epoch, or before the first step."""
    log.status("evaluating ...")
    with run.watchdog.watch("evaluation within an epoch"):
        with run.speed.spent_on("evaluation"):
            scores = run.scores_while_training("validation", run.limit)
        labels = run.data.splits["validation"].labels
        epochs = run.epochs_at(progress.step, progress.epoch)
        best_by = run.config.checkpoint.best_by
        progress.add_evaluation(
            labels, scores, reason=reason, epochs=epochs, best_by=best_by, measure=run.measure
        )
        log.evaluation(progress)


def evaluate_chosen(
    run: Run, progress: Progress, log: Logger, *, saver: Saver | NoSaver
) -> dict | None:
    """Evaluates the best or the last epoch on validation and test; the chief writes the results."""
    which, results = run.config.checkpoint.result, dict[str, dict]()
    kept = progress.kept(which)
    folder = checkpoint.path(run.checkpoints, kept["step"], kept["epoch"])
    saver.check(folder)
    log.status(f"evaluating the {which} epoch ...")
    run.replicas.barrier()  # all have written, and the checkpoint is verified
    checkpoint.restore(folder, run.state.variables(), ("scores",))
    scores = {name: run.scores(name) for name in ("validation", "test")}
    augmented = run.augmented_scores("validation")
    if run.replicas.is_chief:
        points = operating_points.choose(scores["validation"], augmented)
        for name, split_scores in scores.items():
            split, images = run.data.splits[name], examples.identities(run.data.splits[name])
            predictions = Predictions(name, split.labels, split.classes, *images, split_scores)
            results[name] = predictions.evaluate(
                points, epoch=kept["epoch"], step=kept["step"], seed=run.config.seed
            )
            evaluation_files.write(run.workdir, predictions, results[name])
        log.status("looking at what was trained on, for predict and evaluate ...")
        gate.write(run.workdir, run.data.splits["train"], run.state.averaged, run.config)
        learnt_images.write(run.workdir, run.data.splits)
        log.status("drawing what the network has learnt ...")
        log.end(Evaluation(kept, points, scores, results["test"]))
        page = run_page.write(run.workdir, run.config.report.references)
        model_card.write(run.workdir)
        log.finished()
        log.message(f"report: {page}")
    run.replicas.barrier()  # the chief leads the cluster: it stays until the others are done
    return results.get("test")


def end_pretraining(run: Run, progress: Progress, log: Logger, *, saver: Saver | NoSaver) -> None:
    """Notes whose weights a later run begins with: the best or the last epoch's, on the chief."""
    chosen = progress.kept(run.config.checkpoint.result)
    folder = checkpoint.path(run.checkpoints, chosen["step"], chosen["epoch"])
    saver.check(folder)
    run.replicas.barrier()  # all have written
    if run.replicas.is_chief:
        pretrained.write(run.workdir, run.config.pretrain, chosen)
        log.finished()
        log.message(
            f"pretrained for {chosen['epoch']} epochs: --config.model.weights={run.workdir} begins "
            "with these weights"
        )
    run.replicas.barrier()


def class_weights(
    config: ConfigDict, split: data_split.Split, outputs: IndependentLabels = INDEPENDENT
) -> np.ndarray:
    """Returns the weights of negative and positive examples, [2, K] float32.

    Balanced, both count as much in all, for each label; classes that exclude one another likewise.
    """
    if config.loss.class_weights == "none" or config.pretrain.method:
        return np.ones((2, len(split.labels)), np.float32)
    return outputs.balanced_weights(np.array(split.counts))


def check_finite(
    run: Run, progress: Progress, result: step.LoopResult, *, saver: Saver | NoSaver
) -> None:
    """Raises NotFinite, unless half precision may recover from it with a smaller loss scale."""
    losses = result.losses
    bad = np.flatnonzero(~(np.isfinite(losses) & result.finite))
    may_recover = run.config.precision == "mixed_float16" and run.state.loss_scale >= 1.0
    if bad.size and not may_recover:
        loss, at_step = losses[bad[0]], progress.step + int(bad[0]) + 1
        what = "the gradient is not finite" if np.isfinite(loss) else f"the loss is {loss}"
        reason = f"{what} at step {at_step}"
    elif not run.state.finite:
        reason = f"a weight is not finite at step {progress.step + len(losses)}"
    else:
        return
    saver.wait()  # the last one counts too
    good = checkpoint.complete(run.checkpoints)
    raise NotFinite(
        f"{reason}, learning rate {run.learning_rate:.3g}; the last good checkpoint is "
        f"{good[-1] if good else 'none yet'}. {optimizer.remedy(run.config.precision)}"
    )


def _why_it_ends(config: ConfigDict, progress: Progress) -> str:
    return (
        f"training ends after {progress.epoch} of {config.train.epochs} epochs: the last "
        f"{config.train.patience} (train.patience) were no better on validation by "
        f"checkpoint.best_by={config.checkpoint.best_by}."
    )


def _where_it_stopped(run: Run, progress: Progress, stopped: Stopped) -> str:
    after = f", {run.signals.seconds:.1f} s after the signal" if run.signals.received else ""
    return (
        f"by {stopped.number.name} at step {progress.step:,} of {run.total_steps:,}, which is "
        f"saved{after}; the same command goes on from there."
    )
