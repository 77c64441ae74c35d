"""What is spent on looking stays below its share of the time."""

import pytest

from trainer.show.budget import Budget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_left_once_the_share_is_spent_until_time_has_gone_by():
    clock = Clock()
    budget = Budget(0.1, clock)
    clock.now = 10.0
    assert budget.left
    with budget.spending():
        clock.now += 2.0
    assert not budget.left and budget.spent_share == pytest.approx(2 / 12)
    clock.now = 19.9
    assert not budget.left
    clock.now = 20.1
    assert budget.left


def test_a_share_of_nothing_leaves_nothing():
    clock = Clock()
    budget = Budget(0.0, clock)
    clock.now = 100.0
    assert not budget.left


def test_what_fails_counts_as_spent():
    clock = Clock()
    budget = Budget(0.1, clock)

    def fail() -> None:
        with budget.spending():
            clock.now = 5.0
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert budget.spent_share == 1.0
