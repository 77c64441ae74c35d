"""What many requests bring goes through the network together."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np

from trainer.serve.metrics import Metrics
from trainer.serve.refusal import Refusal

Arrays = Mapping[str, np.ndarray]
RETRY_SECONDS = 1


@dataclass
class _Part:
    """Rows of a request that wait to be answered."""

    purpose: Hashable
    shapes: Hashable
    inputs: Arrays
    rows: int
    answer: asyncio.Future
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Gathers rows into batches, and runs these one after the other in a thread.

    A batch begins as soon as the one before is done, so that it holds what has come meanwhile. Only
    where fewer rows have come than last time it waits for more, up to a bound.

    Args:
      run: takes what rows are for, as given to `submit`, and their arrays; returns arrays with as
        many rows.
      most: rows that go together.
      seconds: that a row waits for others at most.
      waiting: rows that may wait; more are refused.
      metrics: where all is counted.
    """

    def __init__(
        self,
        run: Callable[[Hashable, Arrays], Arrays],
        *,
        most: int,
        seconds: float,
        waiting: int,
        metrics: Metrics,
    ):
        self._run, self._most, self._seconds, self._waiting = run, most, seconds, waiting
        self._metrics = metrics
        self._parts: deque[_Part] = deque()
        self._rows = 0  # of them
        self._last = 1  # rows of the batch before
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "network")

    async def submit(self, purpose: Hashable, inputs: Arrays) -> dict[str, np.ndarray]:
        """Returns the answer to rows.

        Args:
          purpose: rows of the same purpose and shapes may go together.
          inputs: by name, each with as many rows.

        Raises:
          Refusal: 429, too many wait already.
        """
        rows = len(next(iter(inputs.values())))
        if rows > self._waiting:
            self._metrics.refused.labels("size").inc()
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The request has {rows:,} images: send at most {self._waiting:,} at once.",
            )
        if self._rows + rows > self._waiting:
            self._metrics.refused.labels("queue").inc()
            raise Refusal(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{self._rows:,} images wait already: send it again later.",
                retry_after=RETRY_SECONDS,
            )
        shapes = tuple((name, value.shape[1:]) for name, value in sorted(inputs.items()))
        loop = asyncio.get_running_loop()
        parts = []
        for start in range(0, rows, self._most):
            cut = {name: value[start : start + self._most] for name, value in inputs.items()}
            count = min(self._most, rows - start)
            parts.append(_Part(purpose, shapes, cut, count, loop.create_future()))
        self._parts.extend(parts)
        self._count(rows)
        self._arrived.set()
        return _joined(await asyncio.gather(*(part.answer for part in parts)))

    async def work(self) -> None:
        """Answers what comes, until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = self._take()
            rows = sum(part.rows for part in batch)
            self._last = rows
            self._metrics.batch.observe(rows)
            began = time.monotonic()
            for part in batch:
                self._metrics.queued.observe(began - part.since)
            answers = await loop.run_in_executor(self._thread, self._answers, batch)
            self._metrics.network.observe(time.monotonic() - began)
            for part, answer in zip(batch, answers, strict=True):
                if part.answer.done():  # whoever asked has gone
                    continue
                if isinstance(answer, Exception):
                    part.answer.set_exception(answer)
                else:
                    part.answer.set_result(answer)

    async def _gather(self) -> None:
        """Waits for rows, and for more of them as long as that may help."""
        while not self._parts:
            self._arrived.clear()
            await self._arrived.wait()
        deadline = self._parts[0].since + self._seconds
        while self._rows < min(self._last, self._most):
            self._arrived.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _take(self) -> list[_Part]:
        """Returns the oldest part and others that fit to it, in order."""
        first, others = self._parts[0], []
        batch, rows = [], 0
        for part in self._parts:
            alike = (part.purpose, part.shapes) == (first.purpose, first.shapes)
            if alike and rows + part.rows <= self._most:
                batch.append(part)
                rows += part.rows
            else:
                others.append(part)
        self._parts = deque(others)
        self._count(-rows)
        return batch

    def _count(self, rows: int) -> None:
        self._rows += rows
        self._metrics.waiting.set(self._rows)

    def _answers(self, batch: Sequence[_Part]) -> list[Arrays | Exception]:
        """Returns the answer to each part, or its own error and nobody else's."""
        purpose, names = batch[0].purpose, batch[0].inputs
        together = {name: np.concatenate([part.inputs[name] for part in batch]) for name in names}
        try:
            found = self._run(purpose, together)
        except Exception as error:  # passed on to who asked
            if len(batch) == 1:
                return [error]
            half = len(batch) // 2
            return self._answers(batch[:half]) + self._answers(batch[half:])
        ends = list(itertools.accumulate(part.rows for part in batch))
        starts = [0, *ends[:-1]]
        return [
            {name: value[start:end] for name, value in found.items()}
            for start, end in zip(starts, ends, strict=True)
        ]


def _joined(answers: Sequence[Arrays]) -> dict[str, np.ndarray]:
    if len(answers) == 1:
        return dict(answers[0])
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
