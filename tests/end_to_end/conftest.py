"""What the tests of whole runs share: something that happens at a step."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from trainer.training import step

AtStep = Callable[[int, Callable[[], object]], None]


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> AtStep:
    """Has a function called once, after a loop that reaches a step."""
    return plan_at_step(monkeypatch)


def plan_at_step(patch: pytest.MonkeyPatch) -> AtStep:
    """Returns what has a function called once, after a loop that reaches a step."""
    make_loop = step.train_loop

    def plan(number: int, function: Callable[[], object]) -> None:
        calls = iter([function])

        def train_loop(
            strategy: object, state: object, config: object, **named: object
        ) -> Callable:
            loop = make_loop(strategy, state, config, **named)

            def run(batches: Iterator, steps: int) -> step.LoopResult:
                result = loop(batches, steps)
                if int(state.step) >= number:
                    next(calls, lambda: None)()
                return result

            return run

        patch.setattr(step, "train_loop", train_loop)

    return plan


def stop() -> None:
    """Sends this process SIGTERM, and waits until the run has noted it."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
