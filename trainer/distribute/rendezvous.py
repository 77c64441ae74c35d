"""Where the workers of a run meet before TensorFlow joins them, and compare what must be equal.

TensorFlow waits an hour for a worker, deaf to signals, and its collectives wait for ever where one
has more devices than another. So the chief first listens at its own address for a line of JSON from
each of the others, and answers all with everybody's; then the address is TensorFlow's.
"""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing

from trainer.system.errors import UsageError

ANSWER_SECONDS = 10.0  # in which one that has connected says who it is
RETRY_SECONDS = 0.5
LONGEST = 2**20  # bytes of a line

Facts = Mapping[str, str]


def meet(addresses: Sequence[str], worker: int, facts: Facts, *, seconds: float) -> list[Facts]:
    """Returns what every worker says of itself, in their order; all must call it.

    Args:
      addresses: host:port of each worker, the chief's first.
      worker: number of this process.
      facts: what it says of itself, by name.
      seconds: how long it waits for the others.

    Raises:
      TimeoutError: if they do not come; it says which.
      OSError: if the chief's address is taken.
    """
    deadline = time.monotonic() + seconds
    if worker == 0:
        return _receive(addresses, facts, deadline)
    host, port = _split(addresses[0])
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as chief:
                _send(chief, [worker, facts])
                chief.settimeout(max(RETRY_SECONDS, deadline - time.monotonic()))
                return _read(chief)
        except (OSError, ValueError):  # it does not listen yet, or was started again
            time.sleep(RETRY_SECONDS)
    raise TimeoutError(f"worker 0 at {addresses[0]} or one of the others has not come")


def check_equal(everyone: Sequence[Facts]) -> None:
    """Raises a UsageError that names the first fact in which a worker differs from the chief."""
    chief = everyone[0]
    for worker, facts in enumerate(everyone):
        for name in (*chief, *facts):
            if chief.get(name) != facts.get(name):
                raise UsageError(
                    f"worker {worker} has {name}={facts.get(name)}, but worker 0 "
                    f"{name}={chief.get(name)}: start all workers of a run with the same config, "
                    "data set, number of devices and versions."
                )


def _receive(addresses: Sequence[str], facts: Facts, deadline: float) -> list[Facts]:
    """Returns the facts of all, once all have come to the chief."""
    found: dict[int, Facts] = {0: facts}
    others: dict[int, socket.socket] = {}
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(_split(addresses[0])[1]))
        while len(found) < len(addresses):
            listener.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection = stack.enter_context(listener.accept()[0])
                connection.settimeout(ANSWER_SECONDS)
                worker, said = _read(connection)
            except TimeoutError as error:
                if time.monotonic() < deadline:
                    continue  # somebody else has connected
                missing = [f"worker {n} at {a}" for n, a in enumerate(addresses) if n not in found]
                raise TimeoutError(f"{', '.join(missing)} has not come") from error
            except (OSError, ValueError, TypeError):
                continue
            if worker in range(1, len(addresses)):
                found[worker], others[worker] = said, connection  # the last, if it began again
        everyone = [found[number] for number in range(len(addresses))]
        for connection in others.values():
            _send(connection, everyone)
        for connection in others.values():  # the address is free when the others have hung up
            connection.recv(1)
    return everyone


def _listen(port: int) -> closing[socket.socket]:
    if socket.has_dualstack_ipv6():
        return closing(
            socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        )
    return closing(socket.create_server(("", port)))


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _send(connection: socket.socket, content: object) -> None:
    connection.sendall(json.dumps(content).encode() + b"\n")


def _read(connection: socket.socket) -> list:
    """Returns a line of JSON; raises a ValueError where it is none or not whole."""
    with connection.makefile("rb") as lines:
        line = lines.readline(LONGEST)
    if not line.endswith(b"\n"):
        raise ValueError(f"not a whole line: {line[:100]!r}")
    content = json.loads(line)
    if not isinstance(content, list):
        raise TypeError(content)
    return content
