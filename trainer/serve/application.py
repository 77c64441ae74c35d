"""The server's routes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from starlette.exceptions import HTTPException

from trainer.serve import metrics
from trainer.serve.batching import Batcher
from trainer.serve.gateway import ENDING, PAGE, App, Gateway, Limits
from trainer.serve.multipart import read_files
from trainer.serve.radiographs import MOST_SIMILAR, Radiographs, Wanted
from trainer.serve.refusal import Refusal, invalid
from trainer.serve.rest_contract import RestContract

PARAMETERS = ("heat", "image", "coverage", "similar")  # of a query for radiographs
FOLDER = Path(__file__).parent / "page"


@dataclass
class State:
    """Whether new requests are welcome."""

    ready: bool = True


@dataclass(frozen=True)
class Service:
    """What a server is made of.

    Attributes:
      contract: answers as TensorFlow Serving does.
      radiographs: answers for files.
      batcher: of both.
      metrics: of both.
      limits: of a request.
      token: that clients have to show; None for none.
      state: that is changed when the server ends.
    """

    contract: RestContract
    radiographs: Radiographs
    batcher: Batcher
    metrics: metrics.Metrics
    limits: Limits
    token: str | None = None
    state: State = field(default_factory=State)


def application(service: Service) -> App:
    """Returns the server as an ASGI application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        working = asyncio.create_task(service.batcher.work())
        yield
        working.cancel()
        service.radiographs.decoders.close()

    app = FastAPI(title="radiograph serve", docs_url=None, redoc_url=None, lifespan=lifespan)
    _add_models(app, service)
    _add_radiographs(app, service)
    _add_operation(app, service)
    _add_page(app)

    _add_errors(app)
    return Gateway(app, limits=service.limits, metrics=service.metrics, token=service.token)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        del request
        content = json.dumps({"error": str(refusal)})
        return Response(content, refusal.status, refusal.headers(), "application/json")

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        sentence = f"{request.method} {request.url.path}: {status.phrase.lower()}."
        response = await refused(request, Refusal(status, sentence))
        response.headers.update(error.headers or {})  # which methods are allowed
        return response

    @app.exception_handler(RequestValidationError)
    async def wrong_parameter(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        sentence = f"{first['loc'][-1]} is wrong: {first['msg']}."
        return await refused(request, Refusal(HTTPStatus.BAD_REQUEST, sentence))

    @app.exception_handler(Exception)  # which the gateway then logs
    async def failed(request: Request, error: Exception) -> Response:
        del error
        fault = "The server failed at this request: its log has the place."
        return await refused(request, Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, fault))


def _add_models(app: FastAPI, service: Service) -> None:
    @app.api_route(
        "/v1/models{rest:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
    )
    async def models(request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii", "replace")
        body = await request.body()
        return _json(await service.contract.answer(request.method, path, body))


def _add_radiographs(app: FastAPI, service: Service) -> None:
    @app.get("/v1/radiographs")
    async def facts() -> Response:
        """What the model says, and what may be sent."""
        return _json(service.radiographs.facts(service.limits, token=service.token is not None))

    @app.post("/v1/radiographs")
    async def radiographs(
        request: Request,
        heat: bool = False,
        image: bool = False,
        coverage: Annotated[float | None, Query(ge=0.5, le=0.999)] = None,
        similar: Annotated[int | None, Query(ge=1, le=MOST_SIMILAR)] = None,
    ) -> Response:
        """A row for each file, sent as multipart/form-data under the name `file`."""
        if unknown := set(request.query_params) - set(PARAMETERS):
            there = f"{', '.join(PARAMETERS[:-1])} and {PARAMETERS[-1]}"
            raise invalid(f"{min(unknown)[:40]} is unknown: there are {there}.")
        kind = request.headers.get("content-type", "")
        files = read_files(kind, await request.body(), most=service.limits.files)
        wanted = Wanted(heat, image, coverage, similar)
        return _json(await service.radiographs.answer(files, wanted))


def _add_operation(app: FastAPI, service: Service) -> None:
    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", include_in_schema=False)
    async def healthy() -> Response:
        return _json({"status": "ok"})

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    async def ready() -> Response:
        if not service.state.ready:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, ENDING)
        return _json({"status": "ready"})

    @app.get("/metrics", include_in_schema=False)
    @app.get("/monitoring/prometheus/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(service.metrics.page(), media_type=metrics.CONTENT_TYPE)


def _add_page(app: FastAPI) -> None:
    def add(path: str, name: str) -> None:
        @app.get(path, include_in_schema=False)
        async def page() -> Response:
            if not (FOLDER / name).exists():
                raise HTTPException(HTTPStatus.NOT_FOUND)
            return FileResponse(FOLDER / name)

    for path, name in PAGE.items():
        add(path, name)


def _json(content: Any) -> Response:
    """Returns JSON, in which NaN and Infinity are allowed as TensorFlow Serving has them."""
    return Response(json.dumps(content), media_type="application/json")
