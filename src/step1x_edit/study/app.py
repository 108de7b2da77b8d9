"""The study's web pages: consent, how it works, one comparison after the other, a break, the end, and the way out.

Rendered on the server; every page works without JavaScript. Names of systems never reach this file: what is shown is a case number and
slots.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from step1x_edit.study.answers import Refusal, read_position
from step1x_edit.study.claim import Renewal
from step1x_edit.study.opening import OpenStudy
from step1x_edit.study.pictures import SOURCE
from step1x_edit.study.protection import HEADERS, Protection, read_form
from step1x_edit.study.service import Service
from step1x_edit.study.store import StoreError, new_secrets, scrub
from step1x_edit.study.texts import LANGUAGES, choose_language
from step1x_edit.study.voting import Current

COOKIE_SECONDS = 180 * 24 * 3600
WAIT_SECONDS = 60

router = APIRouter(include_in_schema=False)


def create_app(opened: OpenStudy, public_url: str | None = None, seed: int | None = None, renew: Renewal = lambda: True) -> FastAPI:
    """The study as an application for an ASGI server. See `Service` for the arguments."""
    service = Service(opened, public_url, seed, renew)
    app = FastAPI(title=opened.study.title, docs_url=None, redoc_url=None, openapi_url=None, lifespan=service.run)
    app.state.service = service
    app.include_router(router)
    app.add_middleware(Protection, secure=service.secure)
    for failure in (Refusal, StoreError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(failure, _explain)
    return app


def _service(request: Request) -> Service:
    return request.app.state.service


def _language(request: Request, current: Current | None) -> str:
    asked = request.query_params.get("language", "")
    if current is not None:
        return current.language
    return asked if asked in LANGUAGES else choose_language(request.headers.get("accept-language", ""))


def _page(request: Request, name: str, current: Current | None, status: int = 200, **values: Any) -> Response:
    """A page, in the reader's language. Who has no session yet gets one, since forms are tied to it."""
    service = _service(request)
    session = service.session(request) or new_secrets(1)[0]
    html = service.pages.render(name, _language(request, current), session, current=current, **values)
    response = HTMLResponse(html, status)
    if not service.session(request):
        service.keep(response, session, None)
    return response


def _go(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303)


async def _form(request: Request) -> Mapping[str, str]:
    service = _service(request)
    return await read_form(request, service.session(request), service.study.form_key, service.public_url)


@router.get("/")
async def consent(request: Request) -> Response:
    """What the study is, what it keeps, and the question whether to take part."""
    current = await _service(request).find(request)
    if current is not None:
        return _go("/compare")
    return _page(request, "consent.html", None, screens=_service(request).design.screens)


@router.get("/privacy")
async def privacy(request: Request) -> Response:
    """What the study keeps, to read again."""
    current = await _service(request).find(request)
    return _page(request, "consent.html", current, screens=_service(request).design.screens, reading=True)


@router.post("/join")
async def join(request: Request) -> Response:
    """Take part."""
    service = _service(request)
    form = await _form(request)
    if await service.find(request) is not None:
        return _go("/compare")
    language = form.get("language", "")
    if form.get("consent") != "yes":
        raise Refusal("no_consent", 422)
    if language not in LANGUAGES:
        raise Refusal("malformed", 422)
    link = await service.write(lambda connection: service.booth.join(connection, language))
    response = _go("/welcome")
    service.keep(response, link, COOKIE_SECONDS)
    return response


@router.get("/welcome")
async def welcome(request: Request) -> Response:
    """How it works, and the private link."""
    current = await _service(request).find(request)
    if current is None:
        return _go("/")
    return _page(request, "welcome.html", current, private_link=_private_link(request))


@router.get("/compare")
async def compare(request: Request) -> Response:
    """The comparison before this person, or the end."""
    service = _service(request)
    current = await service.find(request)
    if current is None:
        return _go("/")
    if current.settled and not current.finished:
        link = service.session(request)
        await service.write(lambda connection: service.booth.look_again(connection, link))
        current = await service.find(request) or current
    return _comparison(request, current)


def _comparison(request: Request, current: Current, status: int = 200, **values: Any) -> Response:
    if current.finished:
        return _page(request, "done.html", current)
    if current.settled:
        response = _page(request, "message.html", current, title="wait_title", sentence="wait_text")
        response.headers["refresh"] = str(WAIT_SECONDS)
        return response
    size = _service(request).gallery.size(current.case)
    return _page(request, "compare.html", current, status, size=size, **{"form": {}, "sentence": None, **values})


@router.get("/picture/{token}")
async def picture(request: Request, token: str) -> Response:
    """A picture of the comparison before this person, and of no other."""
    service = _service(request)
    current = await service.find(request)
    if current is None or current.settled or token not in current.tokens:
        raise Refusal("not_found", 404)
    place = current.tokens.index(token)
    which = SOURCE if place == 0 else current.slots[place - 1]
    data = await asyncio.to_thread(service.gallery.read, current.case, which)
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600, immutable"})


@router.post("/vote")
async def vote(request: Request) -> Response:
    """Keep an answer. Acknowledged, by sending on to the next comparison, only when it is on the disk."""
    service = _service(request)
    form = await _form(request)
    position, nonce, link = read_position(form.get("position")), form.get("nonce", ""), service.session(request)
    try:
        await service.write(lambda connection: service.booth.vote(connection, link, position, nonce, form))
    except (Refusal, StoreError) as error:
        current = await service.find(request)
        again = isinstance(error, StoreError) or error.http_status == 422
        if not again or current is None or current.position != position:
            raise
        response = _comparison(request, current, error.http_status, form=form, sentence=_reason(error))  # what was filled in stays
        return _with_patience(response)
    return _go("/compare")


@router.post("/skip")
async def skip(request: Request) -> Response:
    """Leave a comparison unanswered."""
    service = _service(request)
    form = await _form(request)
    position, nonce, link = read_position(form.get("position")), form.get("nonce", ""), service.session(request)
    reason = form.get("reason", "")
    await service.write(lambda connection: service.booth.skip(connection, link, position, nonce, reason))
    return _go("/compare")


@router.get("/break")
async def take_break(request: Request) -> Response:
    """A pause, and the private link to go on elsewhere."""
    current = await _service(request).find(request)
    if current is None:
        return _go("/")
    return _page(request, "break.html", current, private_link=_private_link(request))


@router.get("/continue/{link}")
async def offer_to_continue(request: Request, link: str) -> Response:
    """Ask before a private link takes over this browser, since another site may have opened it."""
    service = _service(request)
    found = await service.look_up(link)
    if found is None:
        raise Refusal("unknown_link", 404)
    here = await service.find(request)
    return _page(request, "continue.html", found, link=link, replaces=here is not None and here.person != found.person)


@router.post("/continue")
async def continue_here(request: Request) -> Response:
    """Go on in this browser."""
    service = _service(request)
    link = (await _form(request)).get("link", "")
    if await service.look_up(link) is None:
        raise Refusal("unknown_link", 404)
    response = _go("/compare")
    service.keep(response, link, COOKIE_SECONDS)
    return response


@router.post("/language")
async def change_language(request: Request) -> Response:
    """Read the pages in another language."""
    service = _service(request)
    form = await _form(request)
    language, back, link = form.get("language", ""), form.get("back", ""), service.session(request)
    if language not in LANGUAGES:
        raise Refusal("malformed", 422)
    await service.write(lambda connection: service.booth.change_language(connection, link, language))
    current = await service.find(request)
    if current is not None and form.get("nonce") == current.nonce:
        return _comparison(request, current, form=form)  # what was filled in stays
    return _go(back if re.fullmatch(r"/(compare|welcome|break|delete|privacy)", back) else "/compare")


@router.get("/delete")
async def ask_to_delete(request: Request) -> Response:
    """Ask before everything is deleted."""
    current = await _service(request).find(request)
    if current is None:
        raise Refusal("unknown_person", 403)
    return _page(request, "delete.html", current)


@router.post("/delete")
async def delete(request: Request) -> Response:
    """Delete this person and everything of theirs."""
    service = _service(request)
    await _form(request)
    link = service.session(request)
    language = _language(request, await service.find(request))
    await service.write(lambda connection: service.booth.withdraw(connection, link))
    await asyncio.to_thread(scrub, service.engine)
    response = _go(f"/deleted?language={language}")
    service.drop(response)
    return response


@router.get("/deleted")
async def deleted(request: Request) -> Response:
    """Confirm that nothing is left."""
    return _page(request, "message.html", None, title="deleted_title", sentence="deleted_text")


@router.get("/static/{name}")
async def static(request: Request, name: str) -> Response:
    """Style sheet and scripts, whose names change with their contents."""
    asset = _service(request).pages.assets.get(name)
    if asset is None:
        raise Refusal("not_found", 404)
    return Response(asset.data, media_type=asset.kind, headers={"cache-control": "public, max-age=31536000, immutable"})


@router.get("/robots.txt")
async def robots(_: Request) -> Response:
    """Ask search engines to stay away."""
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def _private_link(request: Request) -> str:
    service = _service(request)
    base = service.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}/continue/{service.session(request)}"


async def _explain(request: Request, error: Exception) -> Response:
    """A page with one sentence that says why not, under the right status."""
    status, reason = 500, "failure"
    if isinstance(error, Refusal | StoreError):
        status, reason = error.http_status, _reason(error)
    elif isinstance(error, HTTPException):
        status, reason = error.status_code, "not_found" if error.status_code == 404 else "not_allowed"
    elif isinstance(error, ClientDisconnect):
        status, reason = 400, "malformed"  # half a form; nobody is there to read this
    current = None
    with suppress(StoreError):
        current = None if status >= 500 else await _service(request).find(request)
    response = _with_patience(_page(request, "message.html", current, status, title="error_title", sentence=reason))
    if status == 500:  # answered outside of all middleware
        response.headers.update(HEADERS | {"cache-control": "no-store"})
    return response


def _reason(error: Refusal | StoreError) -> str:
    return error.reason if isinstance(error, Refusal) else "busy"


def _with_patience(response: Response) -> Response:
    if response.status_code == 503:
        response.headers["retry-after"] = "2"
    return response
