"""A run remembers its epochs, and which of them was the best."""

import numpy as np
import pytest

from trainer.record import Record
from trainer.step import LoopResult, Scores


def scores(logits: list[float], labels: list[float], weights: list[float] | None = None) -> Scores:
    weights = weights or [1.0] * len(logits)
    columns = np.array([logits, labels, weights], np.float32)
    return Scores.of_columns(columns.T)


GOOD = scores([-2, -1, 1, 2], [0, 0, 1, 1])
FAIR = scores([-2, 1, -1, 2], [0, 0, 1, 1])
SURER = scores([-4, -3, 3, 4], [0, 0, 1, 1])
ONE_CLASS = scores([-4, -3, 3, 4], [1, 1, 1, 1])


def record_after(*validations: Scores) -> tuple[Record, list[bool]]:
    record, best = Record(), []
    for validation in validations:
        record.add_loop(LoopResult(np.zeros(2), GOOD, 2.0, 0.5))
        record.add_loop(LoopResult(np.zeros(1), FAIR, 2.0, 0.5))
        record.end_epoch(["sick"], validation, 0.1)
        best.append(record.best["epoch"] == record.epoch)
    return record, best


def test_an_epoch_is_measured_over_all_of_its_loops_and_begins_anew():
    record, _ = record_after(GOOD, GOOD)
    assert [row["step"] for row in record.history] == [3, 6]
    for row in record.history:
        assert row["seconds"] == 4 and row["train"]["input_wait"] == 0.25
        assert row["train"]["images_per_second"] == 2 and row["train"]["accuracy"] == 0.75
    assert record.epoch_seconds == 0 and record.scores.shape == (0, 3)


def test_rows_that_fill_up_a_batch_do_not_count():
    record = Record()
    filled = scores([-1, 1, 9, 9], [0, 1, 0, 0], [1, 1, 0, 0])
    record.add_loop(LoopResult(np.zeros(1), filled, 1.0, 0.0))
    record.end_epoch(["sick"], GOOD, 0.1)
    assert record.history[0]["train"]["accuracy"] == 1


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


def test_the_last_epoch_reads_as_one_line():
    record, _ = record_after(GOOD)
    line = record.last_line(25)
    assert line.startswith("epoch   1/25  train loss") and "validation" in line
    assert "AUC 1.0000" in line and "2 images/s, 0:04" in line and "\n" not in line


def test_with_several_labels_the_row_has_their_mean_and_each():
    record = Record()
    both = Scores(
        *(np.concatenate(pair, 1) for pair in zip(GOOD[:2], FAIR[:2], strict=True)), GOOD.weights
    )
    record.add_loop(LoopResult(np.zeros(1), both, 1.0, 0.0))
    record.end_epoch(["a", "b"], both, 0.1)
    (row,) = record.history
    assert [row["validation"]["labels"][name]["auc"] for name in "ab"] == [1.0, 0.75]
    assert row["validation"]["auc"] == record.best["auc"] == 0.875
