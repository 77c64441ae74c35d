"""Rows of many requests go together, each request gets its own answer, and none waits for ever."""

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from trainer.serve.batching import Batcher
from trainer.serve.metrics import Metrics
from trainer.serve.refusal import Refusal


def squared(calls: list[tuple[str, int]], seconds: float = 0.0) -> Callable:
    def run(purpose, inputs):
        calls.append((purpose, len(inputs["x"])))
        time.sleep(seconds)
        if (inputs["x"] < 0).any():
            raise ValueError("negative")
        return {"y": inputs["x"] ** 2}

    return run


def batcher(run: Callable, **options: float) -> Batcher:
    given = {"most": 8, "seconds": 0.0, "waiting": 64} | options
    return Batcher(run, **given, metrics=Metrics())  # type: ignore[arg-type]


def answers(batcher: Batcher, *requests: tuple[str, list[float]]) -> list:
    """Returns what requests that come at the same time are answered."""

    async def ask():
        working = asyncio.create_task(batcher.work())
        asked = [batcher.submit(purpose, {"x": np.array(x)}) for purpose, x in requests]
        found = await asyncio.gather(*asked, return_exceptions=True)
        working.cancel()
        return found

    found = asyncio.run(asyncio.wait_for(ask(), 20))
    return [one if isinstance(one, Exception) else one["y"].tolist() for one in found]


def test_rows_that_come_together_go_together_and_each_gets_its_own():
    calls: list[tuple[str, int]] = []
    found = answers(batcher(squared(calls)), ("a", [1.0, 2.0]), ("a", [3.0]), ("a", [4.0]))
    assert found == [[1, 4], [9], [16]] and calls == [("a", 4)]


def test_other_purposes_and_shapes_go_apart():
    calls: list[tuple[str, int]] = []
    requests = [("a", [1.0]), ("b", [2.0]), ("a", [[3.0]]), ("a", [5.0])]
    assert answers(batcher(squared(calls)), *requests) == [[1], [4], [[9]], [25]]
    assert sorted(calls) == [("a", 1), ("a", 2), ("b", 1)]


def test_request_that_is_larger_than_a_batch_is_cut():
    calls: list[tuple[str, int]] = []
    (found,) = answers(batcher(squared(calls)), ("a", list(map(float, range(20)))))
    assert found == [x**2 for x in range(20)] and [rows for _, rows in calls] == [8, 8, 4]


def test_row_that_fails_costs_no_other_request():
    requests = [("a", [float(x)]) for x in (1, 2, -3, 4, 5)]
    found = answers(batcher(squared([])), *requests)
    assert found[:2] + found[3:] == [[1], [4], [16], [25]]
    assert isinstance(found[2], ValueError)


def test_full_queue_refuses_with_the_time_to_come_again():
    requests = [("a", [1.0] * 5), ("a", [1.0] * 5), ("a", [1.0] * 11)]
    first, second, third = answers(batcher(squared([]), waiting=8), *requests)
    assert first == [1] * 5
    assert isinstance(second, Refusal) and second.status == 429 and second.retry_after
    assert isinstance(third, Refusal) and third.status == 413


@pytest.mark.parametrize("others", [0, 1])
def test_wait_for_others_is_bounded_and_ends_when_as_many_have_come(others: int):
    calls: list[tuple[str, int]] = []
    made = batcher(squared(calls), seconds=0.3)

    async def ask():
        working = asyncio.create_task(made.work())
        await asyncio.gather(*(made.submit("a", {"x": np.ones(1)}) for _ in range(2)))
        began = time.monotonic()
        late = [made.submit("a", {"x": np.ones(1)}) for _ in range(1 + others)]
        await asyncio.gather(*late)
        working.cancel()
        return time.monotonic() - began

    seconds = asyncio.run(ask())
    assert calls[-1] == ("a", 1 + others)
    assert (seconds >= 0.3) == (others == 0)
