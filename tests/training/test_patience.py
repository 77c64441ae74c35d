"""Training ends, and slows down, where validation brought no better epoch for long enough."""

import pytest

from trainer.training import patience


def history(*losses: float) -> list[dict]:
    return [{"validation": {"loss": loss, "auc": 1 - loss}} for loss in losses]


@pytest.mark.parametrize(
    ("losses", "epochs", "exhausted"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.6], 1, True),
        ([0.5, 0.5], 1, True),  # as good is no better
        ([0.5, 0.6, 0.4], 2, False),
        ([0.5, 0.6, 0.55], 2, True),
        ([0.5, 0.6, 0.7, 0.8], 0, False),
    ],
)
def test_training_ends_after_so_many_epochs_without_a_better_one(
    losses: list[float], epochs: int, exhausted: bool
):
    assert patience.is_exhausted(history(*losses), "loss", epochs) == exhausted
    assert patience.is_exhausted(history(*losses), "auc", epochs) == exhausted


def test_each_wait_of_so_many_epochs_lowers_the_rate_once():
    losses = [0.5, 0.6, 0.6, 0.6, 0.6, 0.4, 0.5, 0.5, 0.3, 0.3]
    found = [patience.reductions(history(*losses[:n]), "loss", 2) for n in range(len(losses) + 1)]
    assert found == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3]


def test_the_second_metric_decides_between_equal_ones_and_what_is_undefined_is_worst():
    measured = {"loss": 0.5, "auc": 0.8, "average_precision": 0.7}
    for best_by, better, worse in (
        ("auc", {"loss": 0.4}, {"auc": 0.7, "loss": 0.1}),
        ("loss", {"auc": 0.9}, {"auc": 0.99, "loss": 0.6}),
        ("average_precision", {"loss": 0.4}, {"average_precision": None, "auc": 1.0}),
        ("auc", {"average_precision": 0.1, "loss": 0.4}, {"auc": None}),
    ):
        ranked = patience.rank(measured, best_by)
        assert patience.rank(measured | better, best_by) > ranked
        assert patience.rank(measured | worse, best_by) < ranked
