"""Work in threads keeps its order and its bounds."""

import time

import pytest

from trainer.system import threads


def test_results_come_in_order_and_items_are_taken_a_few_ahead():
    taken = []
    items = (taken.append(number) or number for number in range(100))

    def slower_at_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number

    results = threads.map_in_order(slower_at_first, items, threads=2)
    assert next(results) == 0
    assert len(taken) <= threads.AHEAD * 2 + 1
    assert list(results) == list(range(1, 100))


def test_an_error_is_raised_and_nothing_more_is_begun():
    begun = []

    def fail(number: int) -> None:
        begun.append(number)
        raise OSError

    with pytest.raises(OSError):
        list(threads.map_in_order(fail, range(100), threads=1))
    assert len(begun) <= threads.AHEAD + 1
