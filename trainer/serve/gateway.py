"""What every request passes first: token, rate, and limits of what is read of it."""

import asyncio
import hmac
import ipaddress
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from trainer.serve.metrics import Metrics
from trainer.serve.refusal import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

CLIENTS = 10_000  # addresses whose rate is remembered
CLIENT_BITS = 64  # of an IPv6 address, the network that one client is given
AT_ONCE = 16  # largest bodies that are held in memory together
ENDING = "The server is ending."
GONE = 499  # as nginx has it: the client closed the connection
RETRY_SECONDS = 1
PAGE = {  # files of the folder page
    "/": "index.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/viewer.js": "viewer.js",
}
HEALTH = ("/healthz", "/readyz")
ROUTES = ("/v1/models", "/v1/radiographs", "/metrics", "/monitoring/prometheus/metrics")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
      bytes: of its body.
      files: of one request.
      seconds: until its body has come.
      requests: at once, of all clients.
      rate: requests a second of a client's address; 0 for any.
    """

    bytes: int = 32 * 2**20
    files: int = 32
    seconds: float = 60.0
    requests: int = 256
    rate: float = 0.0


class Gateway:
    """An ASGI application before another, which gets whole bodies within the limits.

    Args:
      app: the other.
      limits: of a request.
      metrics: where all is counted.
      token: that a client has to show, except for health, the page, and facts about the model.
    """

    def __init__(self, app: App, *, limits: Limits, metrics: Metrics, token: str | None):
        self._app, self._limits, self._metrics = app, limits, metrics
        self._token = token.encode() if token else None
        self._bytes = self._requests = 0  # in flight
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers a request; whatever goes wrong is one sentence as JSON."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_ENCODED]
            await send(message)

        route = _route(scope["path"])
        try:
            await self._answer(scope, receive, noting)
        except Refusal as refusal:
            await answer_error(noting, refusal)
        except _Gone:
            status = GONE
        except asyncio.CancelledError:  # the server ends, and waits no longer
            if not status:
                await answer_error(noting, Refusal(HTTPStatus.SERVICE_UNAVAILABLE, ENDING))
            raise
        except Exception as error:  # its client has been told
            _log(error)
        finally:
            self._metrics.requests.labels(route, status or GONE).inc()
            self._metrics.seconds.labels(route).observe(time.monotonic() - began)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] in HEALTH:
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        self._check_rate(scope)  # first, as it bounds guesses at the token, too
        self._check_token(scope, headers)
        if self._requests >= self._limits.requests:
            raise self._busy("requests", f"{self._requests:,} requests are answered now")
        self._requests += 1
        self._metrics.in_flight.set(self._requests)
        held = 0
        try:
            body = bytearray()
            async for part in self._parts(headers, receive):
                held += len(part)
                self._bytes += len(part)
                if self._bytes > AT_ONCE * self._limits.bytes:
                    raise self._busy("memory", "the requests that are answered now are too large")
                body += part
            await self._app(scope, _once(bytes(body), receive), send)
        finally:
            self._bytes -= held
            self._requests -= 1
            self._metrics.in_flight.set(self._requests)

    async def _parts(self, headers: dict[bytes, bytes], receive: Receive) -> Any:
        """Yields the parts of a body as they come, within size and time."""
        most, length = self._limits.bytes, headers.get(b"content-length", b"0")
        too_large = Refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The request is larger than {most / 2**20:g} MiB: send fewer or smaller files.",
        )
        if int(length) > most:
            self._metrics.refused.labels("size").inc()
            raise too_large
        deadline, count, more = time.monotonic() + self._limits.seconds, 0, True
        while more:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                self._metrics.refused.labels("slow").inc()
                raise Refusal(
                    HTTPStatus.REQUEST_TIMEOUT,
                    f"The request took more than {self._limits.seconds:g} s to come: send it "
                    "faster, or less at once.",
                ) from error
            if message["type"] == "http.disconnect":
                raise _Gone
            part, more = message.get("body", b""), message.get("more_body", False)
            count += len(part)
            if count > most:
                self._metrics.refused.labels("size").inc()
                raise too_large
            yield part

    def _check_token(self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes]) -> None:
        path, method = scope["path"], scope["method"]
        is_open = path in PAGE or (path == "/v1/radiographs" and method in ("GET", "HEAD"))
        if self._token is None or is_open:
            return
        kind, _, shown = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(shown.strip(), self._token):
            self._metrics.refused.labels("token").inc()
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                "The token is missing or wrong: send the header Authorization: Bearer TOKEN.",
            )

    def _check_rate(self, scope: MutableMapping[str, Any]) -> None:
        """Takes one from the client's bucket, which holds the requests of one second."""
        if not self._limits.rate or scope["path"] in PAGE:
            return
        address, now = _client(scope), time.monotonic()
        most = max(self._limits.rate, 1.0)
        left, then = self._buckets.pop(address, (most, now))
        left = min(most, left + (now - then) * self._limits.rate)
        self._buckets[address] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        if left < 1:
            raise self._busy("rate", f"a client may send {self._limits.rate:g} requests a second")

    def _busy(self, reason: str, sentence: str) -> Refusal:
        self._metrics.refused.labels(reason).inc()
        return Refusal(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"{sentence[0].upper()}{sentence[1:]}: send it again later.",
            retry_after=RETRY_SECONDS,
        )


class _Gone(Exception):
    """The client closed its connection."""


_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


async def answer_error(send: Send, refusal: Refusal) -> None:
    """Sends a refusal as {"error": sentence}."""
    body = json.dumps({"error": str(refusal)}).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **refusal.headers(),
    }
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def _client(scope: MutableMapping[str, Any]) -> str:
    """Returns the address that sends a request: of IPv6 the network, as a client has all of it."""
    text = (scope["client"] or ("",))[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # of a socket that has none
        return text
    if isinstance(address, ipaddress.IPv4Address):
        return text
    return str(address.ipv4_mapped or ipaddress.IPv6Network((int(address), CLIENT_BITS), False))


def _once(body: bytes, receive: Receive) -> Receive:
    """Returns what hands a body over, and after it what the server has to say."""
    sent = False

    async def once() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _route(path: str) -> str:
    """Returns what a path is counted as, which is nothing that a client chose."""
    if path in PAGE:
        return "page"
    return next((r for r in (*HEALTH, *ROUTES) if path == r or path.startswith(f"{r}/")), "other")


def _log(error: Exception) -> None:
    """Logs where an error arose, and not what it says: that may hold a name."""
    place = error.__traceback__
    while place and place.tb_next:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
    logging.getLogger(__name__).error("%s at %s", type(error).__name__, where)
