"""A worker that keeps the others waiting is named in the terminal and has curves in TensorBoard."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from trainer.distribute.replicas import Replicas
from trainer.show.tensorboard import TensorBoard
from trainer.show.terminal_log import TerminalLog
from trainer.system.terminal import LiveLine
from trainer.training.loop_timer import Straggler

RESULT = SimpleNamespace(
    losses=np.ones(4), seconds=2.0, wait_seconds=0.1, gradient_norm=1.0, update_ratio=0.1
)
COMPILED, PROGRESS = SimpleNamespace(step=4, epoch=0), SimpleNamespace(step=8, epoch=0)


def timer(cost: float) -> SimpleNamespace:
    """That of a loop in which worker 1 costs the others this share."""
    return SimpleNamespace(known=True, seconds_a_step=0.5, slowest=Straggler(1, 2.5, 0.35, cost))


def run(hosts: tuple[str, ...]) -> SimpleNamespace:
    train = SimpleNamespace(batch_size=8, epochs=2)
    return SimpleNamespace(
        config=SimpleNamespace(train=train, precision="float32"),
        replicas=Replicas(None, "a test", workers=2, hosts=hosts),
        state=SimpleNamespace(skipped_steps=0),
        total_steps=20,
        learning_rate=0.1,
    )


@pytest.mark.parametrize(
    ("cost", "hosts", "named"),
    [
        (0.3, ("a", "b"), "  worker 1 (b) keeps the others waiting: 35% of its time for input\n"),
        (0.3, (), "  worker 1 keeps the others waiting: 35% of its time for input\n"),
        (0.09, ("a", "b"), "left\n"),
    ],
)
def test_straggler_is_named_where_it_costs_more_than_a_tenth(cost: float, hosts: tuple, named: str):
    shown = io.StringIO()
    log = TerminalLog(LiveLine(shown, every_seconds=0))
    log._run, log._skipped_steps = run(hosts), 0
    for progress in (COMPILED, PROGRESS):
        log.steps(progress, RESULT, timer(cost))
    assert shown.getvalue().endswith(named)


@pytest.mark.parametrize("workers", [1, 2])
def test_straggler_has_curves_where_there_are_several_workers(workers: int):
    written, log = {}, TensorBoard()
    log._run = run(("a", "b"))
    log._summaries = SimpleNamespace(scalars=lambda part, step, values: written.update(values))
    several = timer(0.0)
    several.slowest = several.slowest if workers > 1 else None
    log.steps(PROGRESS, RESULT, several)
    curves = {name: value for name, value in written.items() if "slowest" in name}
    assert curves == (
        {}
        if workers == 1
        else {
            "speed/slowest_worker": 1,
            "speed/slowest_input_wait": 0.35,
            "speed/slowest_loop_seconds": 2.5,
        }
    )
