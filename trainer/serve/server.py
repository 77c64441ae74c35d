"""The process of a server: its socket, its start, and how it ends."""

import asyncio
import json
import math
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from trainer.data.prepare.ingest import DecodeOptions
from trainer.export.exported import Exported
from trainer.serve import decoding
from trainer.serve.application import Service, application
from trainer.serve.batching import Batcher
from trainer.serve.gateway import Limits
from trainer.serve.metrics import Metrics
from trainer.serve.network import RADIOGRAPHS, SIZE, Network
from trainer.serve.radiographs import EXPLAIN, Radiographs
from trainer.serve.rest_contract import RestContract
from trainer.system.processes import Pool

BACKLOG = 1024  # connections that wait to be accepted
HEADER_SECONDS = 20.0  # until the head of a request has come
LINGER_SECONDS = 1.0  # that a refused client has to read why
DECODE_SECONDS = 20.0  # of one file
FINISH_SECONDS = 60  # for requests in flight when the server ends
WAITING = 16  # batches that may wait


@dataclass(frozen=True)
class Options:
    """How a server works.

    Attributes:
      batch: images that go through the network together at most.
      wait: seconds that an image waits for others at most.
      workers: processes that decode.
      limits: of a request.
      token: that clients have to show; None for none.
    """

    batch: int = 32
    wait: float = 0.001
    workers: int = 1
    limits: Limits = field(default_factory=Limits)
    token: str | None = None


def service(exported: Exported, name: str, options: Options) -> Service:
    """Loads an export, and returns what serves it once the network is warm.

    Args:
      exported: the export.
      name: of the model.
      options: how the server works.

    Raises:
      UsageError: the export cannot be served.
    """
    network = Network(exported)
    metadata, metrics = exported.metadata, Metrics()
    batcher = Batcher(
        network.run,
        most=options.batch,
        seconds=options.wait,
        waiting=WAITING * options.batch,
        metrics=metrics,
    )
    fits = tuple((fit["image_size"], fit["mode"]) for fit in metadata["fits"])
    decode = partial(decoding.decode, DecodeOptions(**metadata["decoding"]), fits)
    decoders = Pool(decode, workers=options.workers, seconds=DECODE_SECONDS)
    _warm_up(network, [side for side, _ in fits], options.batch)
    radiographs = Radiographs(name, network, batcher, decoders, metrics)
    contract = RestContract(name, network, batcher)
    return Service(contract, radiographs, batcher, metrics, options.limits, options.token)


def _warm_up(network: Network, sides: list[int], batch: int) -> None:
    """Runs the network once, so that the first request does not wait for what is done once."""
    for rows in {1, batch}:
        images = {
            name: np.zeros((rows, side, side, 1), np.uint8)
            for name, side in zip(network.squares, sides, strict=True)
        }
        network.run(RADIOGRAPHS, images | {SIZE: np.full((rows, 2), sides[0])})
    first = network.squares[0]
    network.run(EXPLAIN, {first: images[first][:1]})


class Server(uvicorn.Server):
    """Answers requests until a signal comes and those in flight are answered.

    It says that it is not ready as soon as the signal comes.

    Args:
      served: what answers.
      drain: seconds from SIGTERM on, in which new requests are still answered.
      announce: is called as soon as requests and signals are answered.

    Attributes:
      received: the signal.
      finished: whether all that was in flight was answered in the end.
    """

    def __init__(self, served: Service, drain: float, announce: Callable[[], None] = lambda: None):
        config = uvicorn.Config(
            application(served),
            http=_Protocol,
            ws="none",
            log_config=None,
            log_level="critical",  # it would log tracebacks with what a client sent
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=FINISH_SECONDS,
        )
        super().__init__(config)
        self._served, self._drain, self._announce = served, drain, announce
        self._end = math.inf  # on the monotonic clock
        self.received: signal.Signals | None = None
        self.finished = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to listen."""
        await super().startup(sockets)
        self._announce()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end; a second signal ends at once."""
        del frame
        self.force_exit = self.received is not None
        self.received = self.received or signal.Signals(sig)
        self._served.state.ready = False
        at_once = sig == signal.SIGINT or self.force_exit
        self._end = time.monotonic() + (0 if at_once else self._drain)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers what is in flight, for a while and unless a second signal comes."""
        began = time.monotonic()
        await super().shutdown(sockets)
        self.finished = not self.force_exit and time.monotonic() - began < FINISH_SECONDS
        if self.force_exit:
            self._served.radiographs.decoders.close()  # for which the process would wait

    async def on_tick(self, counter: int) -> bool:
        """Returns whether it is time to end."""
        return await super().on_tick(counter) or time.monotonic() >= self._end


class _Protocol(H11Protocol):
    """Closes connections on which no request comes, and answers what is no HTTP with JSON."""

    _deadline: asyncio.TimerHandle | None = None
    _is_refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._is_refused:
            super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        is_idle = self.cycle is None or self.cycle.response_complete
        if not is_idle and self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        elif is_idle and self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(HEADER_SECONDS, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        body = json.dumps({"error": msg}).encode()
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        start = f"HTTP/1.1 400 Bad Request\r\n{head}connection: close\r\n\r\n"
        self.transport.write(start.encode() + body)
        # Closed at once, what the client still sends would make it lose the answer.
        self._is_refused = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
