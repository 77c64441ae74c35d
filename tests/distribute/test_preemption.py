"""Stop signals are noted while TensorFlow computes, and agreed on at the end of a loop."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from trainer.distribute.preemption import StopSignals
from trainer.distribute.replicas import Replicas
from trainer.system.errors import Stopped
from trainer.training.loop_timer import LOOP_SECONDS, LoopTimer


def send(signals: StopSignals, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    for _ in range(100):
        if signals.received:
            return
        time.sleep(0.01)


@pytest.fixture
def alone() -> Replicas:
    return Replicas(tf.distribute.OneDeviceStrategy("CPU:0"), "test")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)],
)
def test_a_signal_ends_the_run_at_the_end_of_the_loop(
    alone: Replicas, number: signal.Signals, code: int
):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        pace = LoopTimer(alone, signals)
        pace.end_loop(1, 0.1)
        send(signals, number)
        assert signals.received == number and signals.seconds < 1
        with pytest.raises(Stopped) as stopped:
            pace.end_loop(1, 0.1)
    assert stopped.value.exit_code == code
    assert signal.getsignal(number) == before


def test_a_loop_is_as_long_as_its_time_allows(alone: Replicas):
    with StopSignals() as signals:
        pace = LoopTimer(alone, signals)
        assert pace.steps(100) == 1  # which compiles
        pace.end_loop(1, 30.0)
        assert pace.steps(100) == 1 and not pace.known
        pace.end_loop(1, LOOP_SECONDS / 10)
        assert pace.steps(100) == 10 and pace.known
        assert pace.steps(7) == 7


BUSY = """
import signal, sys
import tensorflow as tf
from trainer.distribute.preemption import StopSignals

@tf.function
def busy():
    return tf.while_loop(lambda x: True, lambda x: [tf.matmul(x, x)], [tf.eye(400)])

with StopSignals():
    print("busy", flush=True)
    busy()
"""


def test_a_second_interrupt_ends_the_process_at_once_though_tensorflow_computes():
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as busy:
        assert busy.stdout.readline() == "busy\n"
        time.sleep(1)
        busy.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert busy.poll() is None
        busy.send_signal(signal.SIGINT)
        assert busy.wait(timeout=5) == 130


def test_signal_ends_the_process_in_time_though_what_it_waits_for_never_ends():
    program = (
        "import os, signal, threading\n"
        "from trainer.distribute.preemption import StopSignals\n"
        "with StopSignals(most_seconds=0.2):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    threading.Event().wait()\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.startswith("stopped: by SIGTERM") and done.stderr.count("\n") == 1


def test_block_that_ends_in_time_is_left_alone():
    with StopSignals(most_seconds=0.2) as signals:
        send(signals, signal.SIGTERM)
    time.sleep(0.4)
