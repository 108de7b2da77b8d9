"""The review page: one candidate after the other, to accept, reject, sort into another task, or reword. Works without JavaScript."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from fastapi import FastAPI, HTTPException
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from step1x_edit.bench.building.store import PICTURES, Store
from step1x_edit.bench.gedit import TASK_SIZES, TASKS
from step1x_edit.errors import UsageError
from step1x_edit.web import LOCAL, BoundedProtocol, OwnPages, ResponseHeaders, address_of, is_local, listen

LARGEST_FORM = 16 * 1024
REASONS = ("unclear", "not an edit", "unpleasant or unlawful", "still personal", "does not fit the picture", "poor picture")
HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def create_app(store: Store, hosts: Sequence[str] | None = None) -> FastAPI:
    """The review as an application for an ASGI server; `hosts` are its names, where these are known."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(OwnPages, hosts=hosts)
    app.add_middleware(ResponseHeaders, headers=HEADERS)
    token = secrets.token_urlsafe(24)
    environment = Environment(loader=PackageLoader("step1x_edit.bench.building"), autoescape=True, undefined=StrictUndefined)

    def show(name: str, problem: str = "", form: dict[str, str] | None = None, status: int = 200) -> Response:
        candidates = [each for each in store.read() if each.name]
        current = next((each for each in candidates if each.name == name), None)
        states = Counter(each.state for each in candidates)
        accepted = Counter(each.task for each in candidates if each.state == "accepted")
        values: dict[str, Any] = {
            "current": current,
            "states": states,
            "total": len(candidates),
            "sizes": [(task, accepted[task], TASK_SIZES[task]) for task in TASKS],
            "reasons": REASONS,
            "same": sum(each.intent == current.intent for each in candidates) - 1 if current else 0,
            "decided": [each for each in candidates if each.state in ("accepted", "rejected")],
            "token": token,
            "problem": problem,
            "form": form or ({"reason": "", **{key: getattr(current, key) for key in ("task", "english", "chinese")}} if current else {}),
        }
        return HTMLResponse(environment.get_template("review.html").render(**values), status)

    @app.get("/")
    def following() -> Response:
        """The next open candidate, those whose task is known first."""
        waiting = sorted((each for each in store.read() if each.state == "open"), key=lambda each: (not each.task, each.task, each.intent))
        return show(waiting[0].name if waiting else "")

    @app.get("/candidate/{name}")
    def one(name: str) -> Response:
        """A certain candidate."""
        if store.find(name) is None:
            raise HTTPException(404)
        return show(name)

    @app.get("/picture/{name}")
    def picture(name: str) -> Response:
        """Its picture."""
        if store.find(name) is None:
            raise HTTPException(404)
        return FileResponse(store.folder / PICTURES / f"{name}.png")

    @app.post("/candidate/{name}")
    async def decide(name: str, request: Request) -> Response:
        """Accept, reject, or take back."""
        form = await _read_form(request, token)
        if store.find(name) is None:
            raise HTTPException(404)
        words = {key: " ".join(form.get(key, "").split()) for key in ("task", "english", "chinese", "reason")}
        try:
            match form.get("decision"):
                case "accept":
                    store.accept(name, words["task"], words["english"], words["chinese"])
                case "reject":
                    store.reject(name, words["reason"])
                case "reopen":
                    store.reopen(name)
                    return RedirectResponse(f"/candidate/{name}", 303)
                case _:
                    raise HTTPException(422)
        except UsageError as error:
            return show(name, str(error), words, 422)
        return RedirectResponse("/", 303)

    return app


def serve(store: Store, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the review until interrupted; `ready` is told its address."""
    with listen(host, port) as listening:
        config = uvicorn.Config(
            create_app(store, (*LOCAL, host) if is_local(host) else None),
            http=BoundedProtocol,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        ready(address_of(listening, host))
        uvicorn.Server(config).run(sockets=[listening])


async def _read_form(request: Request, token: str) -> dict[str, str]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM:
            raise HTTPException(413)
    try:
        form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=16))
    except ValueError as error:
        raise HTTPException(422) from error
    if not secrets.compare_digest(form.get("token", "").encode(), token.encode()):
        raise HTTPException(403)
    return form
