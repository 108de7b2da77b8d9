"""What gradio would let strangers do with a page, and this one does not.

A page of gradio's that is mounted into an application, rather than launched, takes any path on the machine for an uploaded file; it fetches
addresses for whoever asks; and it keeps what ten thousand visitors work on.
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
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from step1x_edit.errors import UsageError
from step1x_edit.web import OwnPages

MOST_VISITORS = 16
"""Pages whose work is kept in memory, in place of the oldest where there are more; each may hold as many pictures as it has turns."""

_ELSEWHERE = re.compile(r"/(?:file|proxy|stream)[=/]+https?:", re.IGNORECASE)


class NoAddresses:
    """Refuses to fetch what lies elsewhere, which gradio's routes for files would do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and _ELSEWHERE.search(scope["path"]):
            await PlainTextResponse("Nothing is fetched from elsewhere.", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


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
    app.add_middleware(NoAddresses)
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


async def _fetch_nothing(url: str) -> httpx.Response:
    raise gr.Error("Nothing is fetched from elsewhere; upload the picture itself.", print_exception=False)
