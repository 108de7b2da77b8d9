"""What stands between the study and the web: response headers, the origin and the token of forms, and a bound on their size."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp

from step1x_edit.errors import UsageError
from step1x_edit.study.answers import Refusal
from step1x_edit.web import ResponseHeaders

LARGEST_FORM = 16 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"

ADDRESS = re.compile(r"(https?)://([^][\s/?#@:]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")
OWN_PORT = {"http": "80", "https": "443"}

HEADERS = {
    # everything comes from this server; nothing runs or is styled inside the page; no other site may frame it
    "content-security-policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not no-referrer: browsers would then send forms with the origin "null"
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=(), browsing-topics=()",
    "x-robots-tag": "noindex, nofollow",
}


class Protection(ResponseHeaders):
    """Adds the headers to every response; those that a page sets itself stay.

    Args:
        app: what answers.
        secure: the pages are reached over https, and must not be asked for otherwise.
    """

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        transport = {"strict-transport-security": "max-age=31536000"} if secure else {}
        super().__init__(app, HEADERS | {"cache-control": "no-store"} | transport)


def read_public_url(text: str) -> str:
    """The address that people see, as browsers name the origin of its pages: in lower case, without a slash or the scheme's own port.

    Raises:
        UsageError: it is no such address, or something follows the host.
    """
    found = ADDRESS.fullmatch(text.lower())
    if found is None:
        raise UsageError(f"The public address {text} is not of the form https://HOST; leave out what follows the host.")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" if port in (None, OWN_PORT[scheme]) else f"{scheme}://{host}:{port}"


def make_form_token(key: str, session: str) -> str:
    """What a form of this session's pages carries, and nobody else can make."""
    return hmac.new(key.encode(), f"form {session}".encode(), hashlib.sha256).hexdigest()[:40]


def name_cookie(key: str) -> str:
    """The cookie of a study with this secret for forms. Browsers tell cookies apart by host and name but not by port, and a machine may
    serve several studies."""
    return f"study-{hmac.new(key.encode(), b'cookie', hashlib.sha256).hexdigest()[:12]}"


async def read_form(request: Request, session: str, key: str, public_url: str | None) -> dict[str, str]:
    """The fields of a form that one of our own pages sent in this session.

    Args:
        request: the POST.
        session: what the study's cookie holds; empty without one.
        key: the study's secret for forms.
        public_url: scheme, host and port that people see, where a proxy stands before the server.

    Raises:
        Refusal: another site sent it, its token is wrong, it is too large, or it is no form.
        ClientDisconnect: the rest of it will not come.
    """
    if not _is_own_origin(request.headers, public_url):
        raise Refusal("forged", 403)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise Refusal("malformed", 415)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise Refusal("too_large", 413)
    except asyncio.CancelledError as error:  # the server ends, and waits for the rest no longer
        raise ClientDisconnect from error
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=64)
    except ValueError as error:
        raise Refusal("malformed", 422) from error
    form = dict(pairs)
    token = form.get("form_token", "").encode(errors="replace")
    if not session or not hmac.compare_digest(token, make_form_token(key, session).encode()):
        raise Refusal("forged", 403)
    if len(form) != len(pairs):
        raise Refusal("malformed", 422)
    return form


def _is_own_origin(headers: Mapping[str, str], public_url: str | None) -> bool:
    """Whether the browser says that the form came from our own pages; browsers that say nothing are left to the token."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    _, _, place = origin.partition("://")
    return place == headers.get("host") or origin == public_url
