"""What every web server of this package needs: a socket to listen on, headers on all it answers, and an end to senders that dawdle."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Mapping

import httptools
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from step1x_edit.errors import UsageError

WAITING_CONNECTIONS = 1024

HEADER_SECONDS = 10.0
"""How long the first lines and headers of a request may take, from the connection on."""

BODY_SECONDS = 120.0
"""How long the whole of a request may take to arrive; an application that wants to answer this with words uses a shorter time."""

TAKING_SECONDS = 60.0
"""How long a client may take in nothing of an answer, before its connection and what waits for it are dropped."""

MOST_HEAD = 64 * 1024
"""Bytes of a request's first lines and headers, and again of those after its body."""

HEADER_COST = 32
"""What each header counts on top of its bytes, for the room that it takes once it is read."""

LOCAL = ("localhost", "127.0.0.1", "[::1]")


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name or address in a host as HTTP writes it: in lower case, without a port, an address of IPv6 in brackets."""
    host = host.lower()
    if host.count(":") > 1 and not host.startswith("["):
        return f"[{host}]"
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


class ResponseHeaders:
    """Adds headers to every response; those that a response sets itself stay.

    Args:
        app: what answers.
        headers: by name, in lower case.
    """

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(header for header in self._headers if header[0] not in own)]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class OwnPages:
    """Keeps out pages of other sites, which a visitor's browser would let in: those that come under a name of their own that leads here,
    and those that send something across sites. A link from elsewhere is followed.

    Args:
        app: what answers.
        hosts: names under which the server is addressed; None where these cannot be known, and it goes by any.
        further: names besides, of pages that come through a proxy under another name than that by which it addresses the server.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] | None = None, further: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = None if hosts is None else {host_name(host) for host in hosts}
        self._further = {host_name(host) for host in further}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._is_foreign(scope["method"], Headers(scope=scope)):
            sentence = (
                "Pages of other sites may not use this one, nor is it addressed under a name that it does not know; see --allow-host."
            )
            await PlainTextResponse(sentence, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_foreign(self, method: str, headers: Mapping[str, str]) -> bool:
        host, (scheme, _, place) = headers.get("host", ""), headers.get("origin", "").lower().partition("://")
        if self._hosts is not None and host_name(host) not in self._hosts:
            return True
        if "origin" in headers and (scheme not in ("http", "https") or (place != host.lower() and host_name(place) not in self._further)):
            return True
        return method not in ("GET", "HEAD") and headers.get("sec-fetch-site") == "cross-site"


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, which waits without end for a request to arrive and for an answer to be taken in, and keeps headers without end,
    with an end to all: the connection is closed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._timer: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._head = 0
        super().connection_made(transport)
        self._wait(HEADER_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        self._watch(None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._watch(None)

    def data_received(self, data: bytes) -> None:
        self._head += len(data)
        super().data_received(data)
        if self._head > MOST_HEAD:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._head = 0
        self._wait(HEADER_SECONDS)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head += HEADER_COST
        if self._head > MOST_HEAD:
            raise httptools.HttpParserError("too many headers")  # answered with 400; what follows is not looked at
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._head = 0
        super().on_body(body)

    def on_headers_complete(self) -> None:
        self._wait(BODY_SECONDS)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._wait(None)
        super().on_message_complete()

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.transport.close)

    def _watch(self, waiting: int | None) -> None:
        """Look in a while whether fewer bytes wait to be taken in than now."""
        if self._taking is not None:
            self._taking.cancel()
        self._taking = None if waiting is None else self.loop.call_later(TAKING_SECONDS, self._look, waiting)

    def _look(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waiting < before:
            self._watch(waiting)
        else:
            self.transport.abort()  # to close it would wait until all is taken in


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections.

    Args:
        host: address of this machine.
        port: port; 0 takes a free one.

    Raises:
        UsageError: the port is taken, or the address is not this machine's.
    """
    listening = None
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # with the protocol named, answers are not delayed
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(WAITING_CONNECTIONS)
    except OSError as error:
        if listening is not None:
            listening.close()
        raise UsageError(
            f"Cannot listen on {host} port {port} ({error.strerror or error}); choose another with --host or --port."
        ) from error
    return listening


def address_of(listening: socket.socket, host: str) -> str:
    """What to type into a browser."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"
