"""What the trials of a sweep have shown, and so the values of the next: a study of Optuna's."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np
import optuna
from etils import epath
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from trainer.system import atomic, file_lock, gcs, json_files
from trainer.system.errors import UsageError
from trainer.tuning.journal import Journal
from trainer.tuning.search_space import Sweep

FILE = "journal.jsonl"
NAME = "sweep"
LOCK = ".radiograph-trainer-study.lock"
STARTUP = 4  # trials that are drawn, and end, before any is chosen or stopped by the others
WARMUP = 0.25  # share of the epochs in which none is stopped


class Study:
    """The trials of a sweep, shared by all processes that work on it.

    The first has the config's own values, the next are drawn, and from the fifth on TPE chooses
    them (Bergstra et al., NeurIPS 2011). What a trial gets depends on the seed, its number, and the
    trials before it.

    Args:
      workdir: folder of the trials, local or in a bucket, where only one process may use it.
      sweep: the fields that vary.
      own: the config's own values of these.
      seed: of the sweep.
      begun: what the sweep was begun with, as JSON.
      known: trials that ended before, where there is no journal of them: rows as `rows` gives them.
    """

    def __init__(
        self,
        workdir: epath.Path,
        sweep: Sweep,
        *,
        own: Mapping[str, Any],
        seed: int,
        begun: Mapping[str, Any],
        known: Sequence[Mapping[str, Any]] = (),
    ):
        self._workdir, self._sweep, self._own, self._seed = workdir, sweep, own, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._locked():
            self._discard_mistakes()
            self._study = self._opened(workdir / FILE)
            if "begun" not in self._study.user_attrs:
                self._study.set_user_attr("begun", dict(begun))
                for row in known:
                    self._study.add_trial(self._frozen(row))

    @property
    def begun(self) -> dict[str, Any]:
        """What the sweep was begun with."""
        return self._study.user_attrs["begun"]

    def rows(self) -> list[dict[str, Any]]:
        """Returns a row for each trial that has ended."""
        ended = [trial for trial in self._trials() if trial.state.is_finished()]
        return [
            {"trial": trial.number + 1, "values": trial.user_attrs["values"]}
            | trial.user_attrs["result"]
            for trial in ended
        ]

    def write(self, file: epath.Path) -> None:
        """Writes what the sweep was begun with, and the rows as `trials`, for people to read."""
        with self._locked():  # so that the last to write has all
            if rows := self.rows():
                atomic.write_json(file, self.begun | {"trials": rows})

    def running(self) -> int:
        """Returns how many trials have begun and not ended."""
        return len(self._trials(TrialState.RUNNING))

    @contextmanager
    def claimed(self, most: int) -> Iterator["StudyTrial | None"]:
        """Keeps a trial from other processes: one that was stopped, or the next.

        Args:
          most: number of trials in all.

        Yields:
          the trial; None where there is none left.
        """
        with ExitStack() as kept:
            with self._locked():
                trial = self._stopped(kept) or self._next(kept, most)
            yield StudyTrial(self._study, trial) if trial else None

    def _stopped(self, kept: ExitStack) -> Trial | None:
        for frozen in self._trials(TrialState.RUNNING):
            try:
                kept.enter_context(self._held(frozen.number))
            except UsageError:  # another process trains it
                continue
            trial = Trial(self._study, frozen._trial_id)
            if "values" not in frozen.user_attrs:  # its process was killed as it chose them
                self._choose(trial)
            return trial
        return None

    def _next(self, kept: ExitStack, most: int) -> Trial | None:
        number = len(self._trials())
        if number >= most:
            return None
        kept.enter_context(self._held(number))
        if not number:
            inside = {p: v for p, v in self._own.items() if self._sweep[p].contains(v)}
            self._study.enqueue_trial(inside)
        trial = self._study.ask()
        self._choose(trial)
        return trial

    def _choose(self, trial: Trial) -> None:
        """Notes the values of a trial: the config's own of the first, else others."""
        seed = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)[0]
        self._study.sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP, seed=int(seed), multivariate=False, constant_liar=True
        )
        values = {path: self._own[path] for path in sorted(self._sweep)}
        for path in values:
            if trial.number:
                values[path] = self._sweep[path].suggest(trial, path)
            elif self._sweep[path].contains(values[path]):
                self._sweep[path].suggest(trial, path)
        trial.set_user_attr("values", values)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _locked(self) -> AbstractContextManager[None]:
        """Keeps other processes from choosing a trial; in a bucket there are none."""
        if gcs.is_gcs(self._workdir):
            return nullcontext()
        return file_lock.held(self._workdir, name=LOCK, wait=True)

    def _held(self, number: int) -> AbstractContextManager[None]:
        if gcs.is_gcs(self._workdir):
            return nullcontext()
        return file_lock.held(self._workdir, name=f".radiograph-trainer-trial-{number + 1}.lock")

    def _discard_mistakes(self) -> None:
        """Begins anew where no trial has ended yet: what was wrong in the first can be mended."""
        file = self._workdir / FILE
        if not file.exists():
            return
        try:
            trials = self._opened(file).get_trials()
        except (*json_files.DAMAGE, AssertionError) as error:  # the last is Optuna's
            aside = file.with_name(f"{file.stem}.damaged{file.suffix}")
            file.replace(aside)
            print(
                f"warning: {file} was damaged ({error}) and is kept as {aside.name}: the trials "
                "that have ended are taken from sweep.json.",
                file=sys.stderr,
            )
            return
        with ExitStack() as free:
            try:
                for trial in trials:
                    if trial.state.is_finished():
                        return
                    free.enter_context(self._held(trial.number))
            except UsageError:  # another process trains it
                return
            file.unlink()

    def _opened(self, file: epath.Path) -> optuna.Study:
        return optuna.create_study(
            storage=JournalStorage(Journal(file)),
            study_name=NAME,
            direction="maximize",
            load_if_exists=True,
        )

    def _frozen(self, row: Mapping[str, Any]) -> FrozenTrial:
        """Returns a trial that ended before there was a journal."""
        values = {p: v for p, v in row["values"].items() if self._sweep[p].contains(v)}
        result = {name: row.get(name) for name in ("validation_auc", "epoch")}
        pruned = bool(row.get("pruned")) or result["validation_auc"] is None
        return optuna.create_trial(
            state=TrialState.PRUNED if pruned else TrialState.COMPLETE,
            params=values,
            distributions={path: self._sweep[path].distribution() for path in values},
            value=None if pruned else result["validation_auc"],
            user_attrs={
                "values": dict(row["values"]),
                "result": result | {"pruned": bool(row.get("pruned"))},
            },
        )


class StudyTrial:
    """A trial that this process trains.

    Attributes:
      number: from 1 on.
      values: of the fields that vary.
    """

    def __init__(self, study: optuna.Study, trial: Trial):
        self._study, self._trial = study, trial
        self.number: int = trial.number + 1
        self.values: dict[str, Any] = trial.user_attrs["values"]

    def report(self, aucs: Sequence[float | None], epochs: int) -> bool:
        """Notes the validation AUC of each epoch so far; returns whether to stop the trial.

        It is stopped where its best is below the median of the others at that epoch.

        Args:
          aucs: of the epochs that are trained; None where there is none.
          epochs: number of epochs in all.
        """
        known = self._study.get_trials(deepcopy=False)[self._trial.number].intermediate_values
        new = {
            epoch: auc
            for epoch, auc in enumerate(aucs, 1)
            if epoch not in known and auc is not None and math.isfinite(auc)
        }
        for epoch, auc in new.items():
            self._trial.report(auc, epoch)
        self._study.pruner = optuna.pruners.MedianPruner(
            n_startup_trials=STARTUP, n_warmup_steps=math.ceil(WARMUP * epochs)
        )
        return bool(new) and len(aucs) < epochs and self._trial.should_prune()

    def end(self, validation_auc: float | None, epoch: int | None, *, pruned: bool) -> None:
        """Notes the epoch that is kept, or the best of a trial that was stopped.

        Args:
          validation_auc: None where the loss became infinite or NaN.
          epoch: its number, from 1 on.
          pruned: whether the trial was stopped.
        """
        result = {"validation_auc": validation_auc, "epoch": epoch, "pruned": pruned}
        self._trial.set_user_attr("result", result)
        if pruned or validation_auc is None:
            self._study.tell(self._trial, state=TrialState.PRUNED)
        else:
            self._study.tell(self._trial, validation_auc)
