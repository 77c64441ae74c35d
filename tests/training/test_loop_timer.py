"""Loops last some seconds, and a stop signal on one worker ends the run on all."""

import signal

import numpy as np
import pytest
import tensorflow as tf

from trainer.distribute.preemption import SIGNALS, StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped
from trainer.training.loop_timer import LOOP_SECONDS, LoopTimer


class TwoWorkers:
    """Replicas of a worker whose peer contributes given values to every sum.

    Attributes:
      given: what the worker contributed to the last.
    """

    workers = 2
    given: list[float] = []  # noqa: RUF012

    def __init__(self, is_chief: bool, peer: list[float], times: tuple[float, ...] = (1.0, 0.0)):
        self.is_chief, self.worker = is_chief, int(not is_chief)
        self._peer = [*peer, *([0, 0, *times] if is_chief else [*times, 0, 0])]

    def sum(self, values: list[float]) -> np.ndarray:
        self.given = values
        return np.array(values) + self._peer


def test_stop_signal_of_another_worker_ends_the_run():
    timer = LoopTimer(TwoWorkers(is_chief=True, peer=[1, 0, 0, 0, 0, 0]), StopSignals())
    with pytest.raises(Stopped) as stopped:
        timer.end_loop(10, 1.0)
    assert stopped.value.number == signal.SIGTERM


def test_own_stop_signal_ends_the_run_once_all_have_agreed():
    signals = StopSignals()
    signals.received = signal.SIGUSR1
    workers = TwoWorkers(is_chief=False, peer=[0, 0, 0, 0.1, 0, 0])
    with pytest.raises(Stopped) as stopped:
        LoopTimer(workers, signals).end_loop(10, 1.0)
    assert stopped.value.number == signal.SIGUSR1
    assert workers.given[: len(SIGNALS)].count(1.0) == 1  # the peer learns of it


def test_workers_take_loops_of_the_length_that_suits_the_chief():
    chief = LoopTimer(TwoWorkers(is_chief=True, peer=[0, 0, 0, 0, 0, 0]), StopSignals())
    other = LoopTimer(TwoWorkers(is_chief=False, peer=[0, 0, 0, 0.1, 0, 0]), StopSignals())
    assert chief.steps(most=1000) == other.steps(most=1000) == 1  # the speed is not known yet
    for _ in range(2):
        chief.end_loop(10, 1.0)
        other.end_loop(10, 9.0)
    assert chief.known and other.known
    assert chief.steps(most=1000) == other.steps(most=1000) == LOOP_SECONDS / 0.1
    assert chief.steps(most=3) == 3


def test_chief_decides_for_all_when_a_checkpoint_or_an_evaluation_is_due():
    chief = LoopTimer(
        TwoWorkers(is_chief=True, peer=[0] * 6), StopSignals(), 1e-9, evaluation_minutes=1e-9
    )
    other = LoopTimer(TwoWorkers(is_chief=False, peer=[0, 0, 0, 0.1, 1, 1]), StopSignals())
    never = LoopTimer(TwoWorkers(is_chief=True, peer=[0] * 6), StopSignals(), 0)
    for timer in (chief, other, never):
        timer.end_loop(10, 1.0)
    assert chief.checkpoint_due and other.checkpoint_due and not never.checkpoint_due
    assert chief.evaluation_due and other.evaluation_due and not never.evaluation_due
    chief.begin_checkpoint()
    assert not chief.checkpoint_due and chief.evaluation_due
    chief.begin_evaluation()
    assert not chief.evaluation_due


@pytest.mark.parametrize(
    ("is_chief", "own_wait", "other_wait", "slowest"),
    [(True, 0.1, 0.9, 1), (True, 0.9, 0.1, 0), (False, 0.1, 0.9, 0), (False, 0.9, 0.1, 1)],
)
def test_all_know_the_worker_that_waits_longest_for_its_input(
    is_chief: bool, own_wait: float, other_wait: float, slowest: int
):
    timer = LoopTimer(TwoWorkers(is_chief, [0] * 6, (2.0, other_wait)), StopSignals())
    assert timer.slowest is None
    timer.end_loop(10, 2.0, own_wait)
    assert timer.slowest == pytest.approx((slowest, 2.0, 0.45, 0.4))


def test_single_worker_is_no_straggler(one_device: tf.distribute.Strategy):
    timer = LoopTimer(Replicas(one_device, "a test"), StopSignals())
    timer.end_loop(10, 2.0, 1.9)
    assert timer.slowest is None and timer.seconds_a_step == 0.2
