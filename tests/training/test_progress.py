"""A run remembers its epochs, and which of them was the best."""

import copy
import re

import numpy as np
import pytest

from trainer.metrics.scores import Scores
from trainer.show.terminal_log import epoch_heading, epoch_row
from trainer.training.progress import Progress
from trainer.training.step import LoopResult


def scores(logits: list[float], labels: list[float], weights: list[float] | None = None) -> Scores:
    weights = weights or [1.0] * len(logits)
    columns = np.array([logits, labels, weights], np.float32)
    return Scores.from_columns(columns.T)


GOOD = scores([-2, -1, 1, 2], [0, 0, 1, 1])
FAIR = scores([-2, 1, -1, 2], [0, 0, 1, 1])
SURER = scores([-4, -3, 3, 4], [0, 0, 1, 1])
ONE_CLASS = scores([-4, -3, 3, 4], [1, 1, 1, 1])


def loop(steps: int, seen: Scores, seconds: float, wait_seconds: float) -> LoopResult:
    finite = np.ones(steps, bool)
    return LoopResult(np.zeros(steps), finite, 1.0, 1e-3, seen, seconds, wait_seconds)


def record_after(*validations: Scores) -> tuple[Progress, list[bool]]:
    record, best = Progress(), []
    for validation in validations:
        record.add_loop(loop(2, GOOD, 2.0, 0.5))
        record.add_loop(loop(1, FAIR, 2.0, 0.5))
        record.end_epoch(["sick"], validation, 0.1)
        best.append(record.best["epoch"] == record.epoch)
    return record, best


def test_an_epoch_is_measured_over_all_of_its_loops_and_begins_anew():
    record, _ = record_after(GOOD, GOOD)
    assert [row["step"] for row in record.history] == [3, 6]
    for row in record.history:
        assert row["seconds"] == 4 and row["train"]["input_wait"] == 0.25
        assert row["train"]["images_per_second"] == 2 and row["train"]["accuracy"] == 0.75
    assert record.epoch_seconds == 0 and not record.scores.size


def test_test_images_are_measured_where_asked_and_choose_nothing():
    record = Progress()
    for test in (GOOD, FAIR):
        record.add_loop(loop(1, GOOD, 1.0, 0.0))
        record.end_epoch(["sick"], GOOD if test is FAIR else FAIR, 0.1, test=test)
    assert [row["test"]["auc"] for row in record.history] == [1.0, 0.75]
    assert record.best is not None and record.best["epoch"] == 2


def test_rows_that_fill_up_a_batch_do_not_count():
    record = Progress()
    filled = scores([-1, 1, 9, 9], [0, 1, 0, 0], [1, 1, 0, 0])
    record.add_loop(loop(1, filled, 1.0, 0.0))
    record.end_epoch(["sick"], GOOD, 0.1)
    assert record.history[0]["train"]["accuracy"] == 1


def test_outputs_that_overflowed_are_left_out_and_counted():
    record = Progress()
    record.add_loop(loop(1, scores([np.nan, np.inf, -1, 1], [0, 0, 0, 1]), 1.0, 0.0))
    saved = Progress.from_dict(copy.deepcopy(record.to_dict()), record.scores)
    for progress in (record, saved):
        progress.end_epoch(["sick"], GOOD, 0.1)
        (row,) = progress.history
        assert row["train"]["not_finite"] == 2 and row["train"]["accuracy"] == 1
        assert row["train"]["images_per_second"] == 4


def test_epoch_without_any_finite_output_has_no_training_metrics():
    record = Progress()
    record.add_loop(loop(1, scores([np.nan, np.inf], [0, 1]), 1.0, 0.0))
    record.end_epoch(["sick"], GOOD, 0.1)
    assert record.history[0]["train"]["auc"] is None


@pytest.mark.parametrize(
    ("validations", "best"),
    [
        ([FAIR, GOOD, FAIR], [True, True, False]),
        ([GOOD, SURER, GOOD], [True, True, False]),  # the loss decides between equal AUCs
        ([GOOD, GOOD], [True, False]),
        ([ONE_CLASS, FAIR], [True, True]),  # without an AUC any other is better
    ],
)
def test_the_best_epoch_is_that_of_the_highest_validation_auc(validations: list, best: list):
    record, found = record_after(*validations)
    assert found == best
    assert record.best["epoch"] == max(epoch for epoch, is_best in enumerate(best, 1) if is_best)


def test_epochs_read_as_the_rows_of_a_table():
    record, lines = Progress(), []
    for validation in (GOOD, FAIR, ONE_CLASS):
        record.add_loop(loop(2, FAIR, 4.0, 0.5))
        record.end_epoch(["sick"], validation, 0.1)
        lines.append(epoch_row(record, 25))
    first, second, third = (line.split() for line in lines)
    assert first[0] == "1/25" and first[3] == "0.7500" and first[6] == "1.0000"
    assert first[7:] == ["1", "0:04", "best"] and second[7:] == ["1", "0:04"]
    assert third[6] == "-"
    heading = epoch_heading(record.history[-1]["train"])
    ends = [match.end() for match in re.finditer(r"loss|acc\.|AUC|images/s|time", heading)]
    for line in lines:
        values = [match.end() for match in re.finditer(r"\S+", line)][1:]
        assert values[: len(ends)] == ends  # aligned at the right
    assert max(map(len, [heading, *lines])) <= 80 and "mean" not in heading


def test_with_several_labels_the_row_has_their_mean_and_each():
    record = Progress()
    both = Scores(
        *(np.concatenate(pair, 1) for pair in zip(GOOD[:2], FAIR[:2], strict=True)), GOOD.weights
    )
    record.add_loop(loop(1, both, 1.0, 0.0))
    record.end_epoch(["a", "b"], both, 0.1)
    (row,) = record.history
    assert [row["validation"]["labels"][name]["auc"] for name in "ab"] == [1.0, 0.75]
    assert row["validation"]["auc"] == record.best["auc"] == 0.875
    assert epoch_heading(record.history[-1]["train"]).count("mean AUC") == 2
    averages = [row[part]["average_precision"] for part in ("train", "validation")]
    assert averages == pytest.approx([(1 + 5 / 6) / 2] * 2)
