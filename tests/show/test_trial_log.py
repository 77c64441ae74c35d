"""A trial of a search is judged by what it would keep."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trainer.metrics.scores import Scores
from trainer.show.trial_log import TrialLog
from trainer.training.progress import Progress
from trainer.training.step import LoopResult


def scores(logits: list[float]) -> Scores:
    return Scores.from_columns(np.array([logits, [0, 0, 1, 1], [1] * 4], np.float32).T)


GOOD, FAIR = scores([-2, -1, 1, 2]), scores([-2, 1, -1, 2])
# Of the sharpest AUC, and of the highest loss.
SURELY_WRONG = scores([-20, -9, -8, 9])


@pytest.mark.parametrize(
    ("result", "best_by", "reported"),
    [
        ("best", "auc", [0.75, 1.0, 1.0]),
        ("best", "loss", [0.75, 0.75, 0.75]),
        ("last", "auc", [0.75, 1.0, 0.75]),
    ],
)
def test_each_epoch_reports_the_auc_of_what_would_be_kept(
    result: str, best_by: str, reported: list[float]
):
    told: list[tuple[Any, int]] = []
    progress, log = Progress(), TrialLog(lambda auc, epoch: told.append((auc, epoch)))
    run: Any = SimpleNamespace(config=SimpleNamespace(checkpoint=SimpleNamespace(result=result)))
    log.begin(run, progress, {})
    second = SURELY_WRONG if best_by == "loss" else GOOD
    for validation in (FAIR, second, FAIR):
        progress.add_loop(LoopResult(np.zeros(2), np.ones(2, bool), 1.0, 1e-3, GOOD, 2.0, 0.5))
        progress.end_epoch(["sick"], validation, 0.1, best_by=best_by)
        log.epoch(progress, validation)
    assert told == list(zip(reported, (1, 2, 3), strict=True))
