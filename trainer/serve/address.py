"""The address of a server."""

import errno
import socket

from trainer.system.errors import UsageError


def bind(host: str, port: int) -> socket.socket:
    """Returns a socket of an address, on which nothing is accepted yet.

    Raises:
      UsageError: the address is taken, or none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        taken = isinstance(error, socket.gaierror) or error.errno != errno.EADDRINUSE
        advice = "give an address of this machine" if taken else "another program has it"
        raise UsageError(
            f"--host={host} --port={port} cannot be used ({error.strerror}): {advice}, or another "
            "--port, 0 for any that is free."
        ) from error
    return bound
