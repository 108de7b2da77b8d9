"""The application for an ASGI server: the routes, the engine's life, errors in OpenAI's shape, and an account of each request."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from step1x_edit import __version__
from step1x_edit.errors import Step1XError
from step1x_edit.serve.answers import to_json
from step1x_edit.serve.api import router
from step1x_edit.serve.limits import Settings
from step1x_edit.serve.refusals import LEFT, Refusal, Stopping, code_of, describe
from step1x_edit.serve.service import Service
from step1x_edit.web import ResponseHeaders

log = logging.getLogger("step1x.serve")

HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store", "content-security-policy": "default-src 'none'"}

PROBES = frozenset({"/health", "/ready"})
"""Routes that supervisors ask every few seconds: where all is well, the log does not say so each time."""

FINAL = frozenset({500, 504})
"""Failures that another try would repeat at the cost of the first; without a word against it OpenAI's clients try twice more."""


def create_app(settings: Settings, gave_up: Callable[[str], None] = lambda sentence: None) -> FastAPI:
    """The application; its lifespan starts and ends the model's processes.

    Args:
        settings: of the server.
        gave_up: called with a sentence when the model cannot be loaded.

    Raises:
        UsageError: the file of keys cannot be read.
    """
    service = Service(settings, gave_up)

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        await service.engine.start()
        yield
        await service.engine.stop()

    app = FastAPI(
        title="step1x-edit",
        version=__version__,
        description="Edits pictures by instruction, in OpenAI's images protocol.",
        docs_url=None,  # it would load its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # a server behind a proxy does not know its own address
        lifespan=live,
    )
    app.state.service = service
    app.include_router(router)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[origin.lower() for origin in settings.origins],
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after", "x-should-retry"],
        )
    app.add_middleware(ResponseHeaders, headers=HEADERS)
    app.add_middleware(Account, service=service)
    for kind in (Step1XError, HTTPException, RequestValidationError, ClientDisconnect, Exception):
        app.add_exception_handler(kind, explain)
    return app


async def explain(request: Request, error: Exception) -> Response:
    """OpenAI's record of what went wrong."""
    headers: dict[str, str] = {}
    match error:
        case Refusal():
            status, body = error.http_status, describe(str(error), error.http_status, error.code, error.param)
            if error.retry_after is not None:
                headers["retry-after"] = str(round(error.retry_after))
        case Step1XError():
            status, body = error.http_status, describe(str(error), error.http_status, code_of(error))
        case ClientDisconnect():
            status, body = LEFT, {}
        case HTTPException(status_code=404):
            status, sentence = 404, f"There is nothing at {request.url.path[:200]}; what there is begins with /v1, see /openapi.json."
            body = describe(sentence, status, "not_found")
        case HTTPException():
            status, body = error.status_code, describe(f"{error.detail}: {request.method} {request.url.path}.", error.status_code, None)
            headers = dict(error.headers or {})
        case RequestValidationError():
            status, body = 400, describe("The request is not understood.", 400, "invalid_request")
        case _:
            status, body = 500, describe("The server failed; this is its fault, not the request's.", 500, "internal_error")
    if status in FINAL:
        headers["x-should-retry"] = "false"
    return Response(to_json(body), status, headers, "application/json")


class Account:
    """Times and counts requests, gives each a name, and ends answers that their clients do not take in.

    What is logged: the method, path, status, time, whose key it was, and the request's name. Nothing of what was asked or answered.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name, began, status, started = secrets.token_hex(8), time.perf_counter(), 500, False

        async def send_in_time(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", name.encode())]
            async with asyncio.timeout(self._service.settings.limits.send_seconds):
                await send(message)

        try:
            await self._app(scope, receive, send_in_time)
        except TimeoutError:
            status = LEFT
        except asyncio.CancelledError:
            if not self._service.engine.stopping:
                raise
            if not started:
                answer = await explain(Request(scope), Stopping())
                await answer(scope, receive, send_in_time)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "other")
            seconds = time.perf_counter() - began
            self._service.metrics.requests.labels(path, status).inc()
            self._service.metrics.seconds.labels(path).observe(seconds)
            owner = scope.get("step1x.owner", "-")
            level = logging.DEBUG if path in PROBES and status < HTTPStatus.BAD_REQUEST else logging.INFO
            log.log(level, "%s %s %s %.3f s key=%s request=%s", scope["method"], path, status, seconds, owner, name)
