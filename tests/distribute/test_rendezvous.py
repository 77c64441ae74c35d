"""Workers meet before TensorFlow joins them: all or none, and only where they are alike."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from trainer.distribute import cluster, rendezvous
from trainer.distribute.local_workers import free_addresses
from trainer.system.errors import UsageError, WorkerLost


def meeting(facts: Sequence[dict], seconds: float = 20) -> list[Future]:
    """What each of several workers gets, in a thread of its own."""
    addresses = free_addresses(len(facts))
    with ThreadPoolExecutor(len(facts)) as pool:
        return [
            pool.submit(rendezvous.meet, addresses, number, own, seconds=seconds)
            for number, own in enumerate(facts)
            if own
        ]


def test_all_workers_learn_the_same_in_their_order():
    facts = [{"devices": str(number)} for number in range(3)]
    assert [met.result() for met in meeting(facts)] == [facts] * 3


def test_chief_says_who_has_not_come():
    chief, other = meeting([{"a": "1"}, {"a": "1"}, {}], seconds=1)
    with pytest.raises(TimeoutError, match=r"worker 2 at 127.0.0.1:\d+ has not come"):
        chief.result()
    with pytest.raises(TimeoutError, match="worker 0 at 127.0.0.1"):
        other.result()


def test_worker_that_nobody_joins_ends_with_75_after_the_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "JOIN_SECONDS", 1)
    for number in (0, 1):
        alone = cluster.Cluster(tuple(free_addresses(2)), number)
        with pytest.raises(WorkerLost, match=r"has not come.*start all of them within 1 s"):
            cluster.strategy(alone)


def test_taken_address_of_the_chief_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(WorkerLost, match=f"let nothing else listen at {address}"):
            cluster.strategy(cluster.Cluster((address, "127.0.0.1:1"), 0))


WAITING = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup ... & has it ignored
from trainer.distribute import rendezvous
print(flush=True)
rendezvous.meet(sys.argv[2:], int(sys.argv[1]), {}, seconds=60)
"""


@pytest.mark.parametrize(("worker", "number"), [(0, signal.SIGINT), (1, signal.SIGTERM)])
def test_worker_that_waits_for_others_hears_signals(worker: int, number: signal.Signals):
    arguments = [sys.executable, "-c", WAITING, str(worker), *free_addresses(2)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        waiting.stdout.readline()
        time.sleep(0.3)  # it listens, or tries to connect
        waiting.send_signal(number)
        waiting.communicate(timeout=5)
    assert waiting.returncode == -number


def connected(port: int) -> socket.socket:
    """Returns a connection to what is about to listen there."""
    for _ in range(200):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.05)
    raise TimeoutError


def test_strangers_and_a_worker_that_begins_again_keep_nobody_out():
    addresses = free_addresses(2)
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(rendezvous.meet, addresses, 0, {}, seconds=20)
        port = int(addresses[0].split(":")[1])
        for line in (b"GET / HTTP/1.1\r\n", b"{}\n", b"[7, {}]\n", b""):
            with connected(port) as stranger:
                stranger.sendall(line)
        other = pool.submit(rendezvous.meet, addresses, 1, {"a": "b"}, seconds=20)
        assert chief.result() == other.result() == [{}, {"a": "b"}]
    with socket.create_server(("127.0.0.1", port)):
        pass  # the address is free at once


def test_worker_that_comes_first_waits_for_the_chief():
    addresses = free_addresses(2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(rendezvous.meet, addresses, 1, {}, seconds=20)
        time.sleep(0.2)
        assert rendezvous.meet(addresses, 0, {}, seconds=20) == first.result() == [{}, {}]


@pytest.mark.parametrize(
    ("other", "first"),
    [
        ({"devices": "2", "seed": "3"}, "devices=2, but worker 0 devices=1"),
        ({"devices": "1"}, "seed=None, but worker 0 seed=1"),
        ({"devices": "1", "seed": "1", "x": "2"}, "x=2, but worker 0 x=None"),
    ],
)
def test_difference_is_refused_with_worker_name_and_both_values(other: dict, first: str):
    chief = {"devices": "1", "seed": "1"}
    rendezvous.check_equal([chief, dict(chief), chief])
    with pytest.raises(UsageError, match=f"worker 2 has {first}: start all workers"):
        rendezvous.check_equal([chief, chief, other])
