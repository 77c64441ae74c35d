"""A process that crashes, or never comes to an end, costs the item that it was at, and no other."""

import os
import time

import pytest

from trainer.system.processes import CRASHED, Failed, Pool


def work(item: str) -> str:
    if item == "crash":
        os._exit(1)
    if item == "loop":
        time.sleep(60)
    if item == "memory":
        return str(len(bytearray(2**33)))
    return item.upper()


@pytest.mark.slow
def test_pool_outlives_what_ends_its_processes():
    pool = Pool(work, workers=2, seconds=10)
    items = ["crash", "a", "loop", "b", "crash", "c"]
    found = [pool.submit(item) for item in items]
    assert [each.result(60) for each in found if not isinstance(each.exception(60), Failed)] == [
        *("A", "B", "C")
    ]
    reasons = {str(each.exception()) for each in found if each.exception()}
    assert reasons == {CRASHED, "decoding it took more than 10 s"}
    pool.close()


def test_memory_of_an_item_is_bounded():
    pool = Pool(work, workers=1)
    with pytest.raises(Failed):
        pool.submit("memory").result(60)
    assert pool.submit("a").result(60) == "A"
    pool.close()


def test_pool_that_is_closed_ends_what_it_is_at_and_begins_it_no_second_time():
    pool = Pool(work, workers=1)
    looping = pool.submit("loop")
    while not pool._processes[0].given:
        time.sleep(0.01)
    pool.close()
    with pytest.raises(Failed):
        looping.result(20)
