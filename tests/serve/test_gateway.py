"""What a request may take is bounded, and who asks for more is told why."""

import asyncio
import json
import logging
from typing import Any

import pytest

from trainer.serve.gateway import HEADERS, Gateway, Limits
from trainer.serve.metrics import Metrics

TOKEN = "0123456789abcdef"


class Server:
    """A gateway before an application that answers with the number of bytes that it got."""

    def __init__(self, token: str | None = None, **limits: float):
        self.metrics = Metrics()
        self.release = asyncio.Event()
        self.release.set()
        self._gateway = Gateway(
            self._app, limits=Limits(**limits), metrics=self.metrics, token=token
        )

    async def _app(self, scope, receive, send):
        body = (await receive())["body"]
        await self.release.wait()
        if scope["path"] == "/v1/models/Doe":
            raise RuntimeError("Doe^Jane")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    async def ask(
        self,
        *parts: bytes | None,
        path: str = "/v1/models",
        method: str = "POST",
        client: str = "1.2.3.4",
        **headers: str,
    ) -> tuple[int, Any, dict[str, str]]:
        """Returns status, body and headers of the answer to a body in parts; None never comes."""
        waiting = list(parts or (b"",))
        sent: list[dict] = []

        async def receive() -> dict:
            part = waiting.pop(0)
            if part is None:
                await asyncio.sleep(60)
            return {"type": "http.request", "body": part, "more_body": bool(waiting)}

        async def send(message: dict) -> None:
            sent.append(message)

        given = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
        scope = {"type": "http", "path": path, "method": method, "headers": given}
        await self._gateway(scope | {"client": (client, 5)}, receive, send)
        if not sent:
            return 0, None, {}
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], json.loads(sent[1]["body"]), found


def test_whole_body_is_passed_on_with_the_headers_of_a_page():
    status, body, headers = asyncio.run(Server().ask(b"ab", b"cd"))
    assert (status, body) == (200, 4)
    assert headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize("headers", [{}, {"content_length": "9"}], ids=["chunked", "by its header"])
def test_larger_body_is_413(headers: dict[str, str]):
    status, body, _ = asyncio.run(Server(bytes=8).ask(b"abcde", b"fghi", **headers))
    assert status == 413 and "larger than" in body["error"]


def test_slow_body_is_408():
    async def ask():
        server = Server(seconds=0.05)
        return await server.ask(b"first", None), server.metrics.page()

    (status, body, _), page = asyncio.run(ask())
    assert status == 408 and "more than 0.05 s" in body["error"]
    assert b'radiograph_refused_total{reason="slow"} 1.0' in page


def test_more_requests_at_once_than_allowed_are_429_with_retry_after():
    async def ask():
        server = Server(requests=1)
        server.release.clear()
        first = asyncio.create_task(server.ask(b"a"))
        await asyncio.sleep(0.01)
        second = await server.ask(b"b")
        healthy = asyncio.create_task(server.ask(path="/healthz", method="GET"))
        server.release.set()
        return await first, second, await healthy

    first, (status, body, headers), healthy = asyncio.run(ask())
    assert first[0] == healthy[0] == 200
    assert status == 429 and headers["retry-after"] == "1" and "again later" in body["error"]


def test_bodies_that_are_held_at_once_are_bounded():
    async def ask():
        server = Server(bytes=8)
        server.release.clear()
        first = [asyncio.create_task(server.ask(bytes(8))) for _ in range(16)]
        await asyncio.sleep(0.01)
        over = await server.ask(bytes(8))
        server.release.set()
        await asyncio.gather(*first)
        return over, await server.ask(bytes(8))

    over, later = asyncio.run(ask())
    assert over[0] == 429 and later[0] == 200


def test_client_that_asks_more_often_than_allowed_is_429_for_a_while():
    async def ask():
        server = Server(rate=20.0)
        statuses = [(await server.ask(b"a"))[0] for _ in range(25)]
        await asyncio.sleep(0.1)
        return statuses, (await server.ask(b"a"))[0]

    statuses, later = asyncio.run(ask())
    assert statuses[:20] == [200] * 20 and statuses[-1] == 429 and later == 200


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"client": "2001:db8:0:1:ffff::2"}, 429),  # of the network that a client is given
        ({"client": "2001:db8:0:2::1"}, 200),
        ({"client": "::ffff:1.2.3.4"}, 200),
        ({"client": "::1"}, 200),
        ({"client": "2001:db8:0:1::1", "x_forwarded_for": "9.9.9.9"}, 429),
        ({"client": "2001:db8:0:1::1", "forwarded": "for=9.9.9.9"}, 429),
    ],
)
def test_rate_is_that_of_the_network_which_sends_whatever_it_says_of_itself(other, status):
    async def ask():
        server = Server(rate=0.01)
        first = await server.ask(client="2001:db8:0:1::1")
        return first[0], (await server.ask(**other))[0]

    assert asyncio.run(ask()) == (200, status)


def test_mapped_addresses_have_a_rate_each():
    async def ask():
        server = Server(rate=0.01)
        asked = ("::ffff:1.2.3.4", "::ffff:1.2.3.5", "1.2.3.4")
        return [(await server.ask(client=client))[0] for client in asked]

    assert asyncio.run(ask()) == [200, 200, 429]


def test_guesses_at_the_token_count_as_requests():
    async def ask():
        server = Server(TOKEN, rate=1.0)
        return [(await server.ask(authorization="Bearer guess"))[0] for _ in range(3)]

    assert asyncio.run(ask()) == [401, 429, 429]


@pytest.mark.parametrize(
    ("headers", "path", "method", "status"),
    [
        ({}, "/v1/radiographs", "POST", 401),
        ({"authorization": f"Bearer {TOKEN}x"}, "/metrics", "GET", 401),
        ({"authorization": f"Basic {TOKEN}"}, "/v1/models", "GET", 401),
        ({"authorization": f"Bearer {TOKEN[:-1]}\u00e9"}, "/v1/models", "GET", 401),
        ({"authorization": "Bearer"}, "/v1/models", "GET", 401),
        ({"authorization": f"Bearer {TOKEN}"}, "/v1/models", "GET", 200),
        ({"authorization": f"bearer {TOKEN}"}, "/v1/radiographs", "POST", 200),
        ({}, "/v1/radiographs", "GET", 200),
        ({}, "/readyz", "GET", 200),
        ({}, "/page.js", "GET", 200),
    ],
)
def test_token_is_asked_for_where_a_model_answers(headers, path, method, status):
    found, _, sent = asyncio.run(Server(TOKEN).ask(path=path, method=method, **headers))
    assert found == status
    assert ("www-authenticate" in sent) == (status == 401)


def test_log_of_a_fault_has_its_place_and_not_its_words(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG):
        asyncio.run(Server().ask(path="/v1/models/Doe"))
    assert "RuntimeError at " in caplog.text and "Doe" not in caplog.text


def test_no_label_of_a_metric_is_what_a_client_chose():
    async def ask():
        server = Server()
        for path in ("/v1/models/Jane:predict", "/Jane", "/metrics/Jane"):
            await server.ask(path=path)
        return server.metrics.page()

    page = asyncio.run(ask())
    assert b"Jane" not in page and b'route="other",status="200"} 1.0' in page
