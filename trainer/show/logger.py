"""What follows a run: loggers, each of which shows or records it somewhere.

The terminal, TensorBoard and `history.json` are loggers. Another one is a class that overrides
what it needs, given to `train_and_evaluate(..., loggers=[...])`; one that sends the run elsewhere
is a `Tracker` in a `TrackerLog`. Only the chief has any.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainer.metrics.operating_points import OperatingPoints
from trainer.metrics.scores import Scores
from trainer.training.loop_timer import LoopTimer
from trainer.training.progress import Progress
from trainer.training.run import Run
from trainer.training.step import LoopResult


class Evaluation(NamedTuple):
    """The evaluation of the kept epoch.

    Attributes:
      kept: its epoch, step, AUC and loss on validation.
      points: thresholds and temperatures, chosen on validation.
      scores: of the validation and the test split, by name.
      result: the content of `evaluation/test.json`.
    """

    kept: dict
    points: OperatingPoints
    scores: Mapping[str, Scores]
    result: dict


class Logger:
    """Follows a run; what a subclass does not override does nothing."""

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        """Follows the start of a run, or of what is left of it.

        Args:
          run: the run.
          progress: at step 0 of a new run.
          saved: what `checkpoint_state` of all loggers returned for the restored checkpoint.
        """

    def status(self, text: str) -> None:
        """Follows what is being done, such as "evaluating ...", until the next call."""

    def message(self, text: str) -> None:
        """Follows a result that stays."""

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        """Follows a loop of training steps."""

    def epoch(self, progress: Progress, validation: Scores) -> None:
        """Follows the end of an epoch, with the scores of the validation split."""

    def evaluation(self, progress: Progress) -> None:
        """Follows an evaluation that is not at the end of an epoch: `progress.evaluations[-1]`."""

    def saved(self, durations: Sequence[tuple[int, float]]) -> None:
        """Follows the checkpoints written since the last call: step and seconds of each."""

    def checkpoint_state(self) -> dict[str, Any]:
        """Makes everything visible, and returns what `begin` needs to go on from here, as JSON."""
        return {}

    def end(self, evaluation: Evaluation) -> None:
        """Follows the evaluation of the kept epoch, whose weights are restored."""

    def finished(self) -> None:
        """Follows the last file of the run, after its report and its model card."""

    def close(self, error: BaseException | None) -> None:
        """Follows the end of this process' part in the run, by an error where there is one."""


class Loggers(Logger):
    """Several loggers as one, in the order given; none at all on workers but the chief."""

    def __init__(self, loggers: Sequence[Logger] = ()):
        self._loggers = list(loggers)

    def begin(self, run: Run, progress: Progress, saved: Mapping[str, Any]) -> None:
        for logger in self._loggers:
            logger.begin(run, progress, saved)

    def status(self, text: str) -> None:
        for logger in self._loggers:
            logger.status(text)

    def message(self, text: str) -> None:
        for logger in self._loggers:
            logger.message(text)

    def steps(self, progress: Progress, result: LoopResult, timer: LoopTimer) -> None:
        for logger in self._loggers:
            logger.steps(progress, result, timer)

    def epoch(self, progress: Progress, validation: Scores) -> None:
        for logger in self._loggers:
            logger.epoch(progress, validation)

    def evaluation(self, progress: Progress) -> None:
        for logger in self._loggers:
            logger.evaluation(progress)

    def saved(self, durations: Sequence[tuple[int, float]]) -> None:
        for logger in self._loggers:
            logger.saved(durations)

    def checkpoint_state(self) -> dict[str, Any]:
        state: dict[str, Any] = {}
        for logger in self._loggers:
            state |= logger.checkpoint_state()
        return state

    def end(self, evaluation: Evaluation) -> None:
        for logger in self._loggers:
            logger.end(evaluation)

    def finished(self) -> None:
        for logger in self._loggers:
            logger.finished()

    def close(self, error: BaseException | None) -> None:
        for logger in self._loggers:
            logger.close(error)
