"""What gradio would let strangers do with a page, and this one does not.

A page of gradio's that is mounted into an application, rather than launched, takes any path on the machine for an uploaded file; it fetches
addresses for whoever asks; it keeps what ten thousand visitors work on, and all that they ever painted; and what is sent to it may be of
any length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from fastapi import FastAPI
from gradio import processing_utils
from gradio.components.base import server
from gradio.components.image_editor import AcceptBlobs
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from step1x_edit.errors import UsageError
from step1x_edit.serve.session import LONGEST_KEY
from step1x_edit.web import OwnPages

MOST_VISITORS = 16
"""Pages whose work is kept in memory, in place of the oldest where there are more; each may hold as many pictures as it has turns."""

MOST_LAYERS = 16
LONGEST_BODY = 64 * 1024
LONGEST_PAINTING = 24 * 2**20
"""Bytes of a request, and of one that brings what was painted; of uploads gradio counts the bytes itself."""

_ELSEWHERE = re.compile(r"/(?:file|proxy|stream)[=/]+https?:", re.IGNORECASE)


class Bounds:
    """Refuses to fetch what lies elsewhere, which gradio's routes for files would do, and requests longer than any of the page's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = _refuse(scope) if scope["type"] == "http" else None
        await (refusal or self._app)(scope, receive, send)


def guard(blocks: gr.Blocks, app: FastAPI, hosts: Sequence[str] | None, further: Sequence[str] = ()) -> None:
    """Keep strangers out of an application, into which the blocks are mounted thereafter.

    Args:
        blocks: the page.
        app: the application.
        hosts: the names that the page is asked for by, where these are known.
        further: names besides, under which pages of its own may come through a proxy.
    """
    blocks.has_launched = True  # only then does gradio look where a file lies
    blocks.state_session_capacity = MOST_VISITORS
    processing_utils.async_ssrf_protected_get = _fetch_nothing  # of the whole process, which serves this page alone
    for canvas in blocks.blocks.values():
        if isinstance(canvas, gr.ImageEditor):
            _bound(canvas)
    app.add_middleware(Bounds)
    app.add_middleware(OwnPages, hosts=hosts, further=further)


def uploaded(component: gr.components.Component, value: dict[str, Any] | None) -> Path | None:
    """The file that a visitor uploaded into a component, whose values come without gradio's own look at them.

    Raises:
        UsageError: it is any other file of this machine.
    """
    path = (value or {}).get("path")
    if path is None:
        return None
    try:
        inside = Path(path).resolve().is_relative_to(Path(component.GRADIO_CACHE).resolve())
    except (TypeError, ValueError, OSError):  # no text, a NUL in it, longer than a name can be
        inside = False
    if not inside:
        raise UsageError("The file was not uploaded; drop a picture, or choose an example.")
    return Path(path)


def _bound(canvas: gr.ImageEditor) -> None:
    """Let a canvas keep the paintings of the last visitors alone, each of few layers."""
    accept = canvas.accept_blobs

    def accept_blobs(data: AcceptBlobs) -> None:
        layers = ("null", *map(str, range(MOST_LAYERS)))
        if len(str(data.data["id"])) > LONGEST_KEY or str(data.data["index"] or "null") not in layers:
            raise gr.Error("This is no painting of the page's.", print_exception=False)
        accept(data)
        while len(canvas.blob_storage) > MOST_VISITORS:
            canvas.blob_storage.pop(next(iter(canvas.blob_storage)), None)

    canvas.accept_blobs = server(accept_blobs)  # type: ignore[method-assign]


async def _fetch_nothing(url: str) -> httpx.Response:
    raise gr.Error("Nothing is fetched from elsewhere; upload the picture itself.", print_exception=False)


def _refuse(scope: Scope) -> Response | None:
    path = scope["path"]
    if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not path.endswith("/upload"):
        limit = LONGEST_PAINTING if "/component_server" in path else LONGEST_BODY
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal() or int(length) > limit:
            return PlainTextResponse("The request is too long, or does not say how long it is.", 413)
    return PlainTextResponse("Nothing is fetched from elsewhere.", 403) if _ELSEWHERE.search(path) else None
