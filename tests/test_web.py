"""What servers share: the socket, the headers, and the end of senders that dawdle or go on, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from step1x_edit import web
from step1x_edit.errors import UsageError
from step1x_edit.web import BoundedProtocol, ResponseHeaders, address_of, listen


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read all of the request, then say how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    text = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text)), (b"own", b"1")]})
    await send({"type": "http.response.body", "body": text})


MUCH = 32 * 1024 * 1024
"""Bytes, more than the system keeps for a connection."""


async def say_much(scope: Scope, receive: Receive, send: Send) -> None:
    """An answer in one piece, as a picture's is."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % MUCH)]})
    await send({"type": "http.response.body", "body": bytes(MUCH)})


def serve(talk: Callable[[int], Awaitable[None]], app: ASGIApp = answer) -> None:
    """Run a client against a server."""

    async def run() -> None:
        with listen("127.0.0.1", 0) as sock:
            served = ResponseHeaders(app, {"own": "0", "added": "2"})
            config = uvicorn.Config(served, http=BoundedProtocol, log_config=None, lifespan="off", ws="none", loop="asyncio")
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve(sockets=[sock]))
            while not server.started:
                await asyncio.sleep(0.01)
            assert address_of(sock, "127.0.0.1") == f"http://127.0.0.1:{sock.getsockname()[1]}"
            await talk(sock.getsockname()[1])
            server.should_exit = True
            await running

    asyncio.run(run())


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"


@pytest.mark.parametrize("begun", [b"", HEAD[:20], HEAD + b"12"], ids=["silence", "half a header", "half a body"])
def test_who_dawdles_is_hung_up_on(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(web, "BODY_SECONDS", 0.3)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()

    serve(talk)


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [(b"GET /", b"x"), (HEAD[:17], b"a:\r\n"), (HEAD[:17] + b"a:", b"x"), (CHUNKED, b"a:\r\n"), (CHUNKED + b"a:", b"x")],
    ids=["address", "headers", "a header", "trailers", "a trailer"],
)
def test_a_head_without_end_is_hung_up_on(begun: bytes, more: bytes) -> None:
    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        sent, ended = 0, asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            while not ended.done() and sent < 4_000_000:
                writer.write(more * (40_000 // len(more)))
                sent += 40_000
                await writer.drain()
                await asyncio.sleep(0.005)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(ended, 5)
        assert sent < 1_000_000
        writer.close()

    serve(talk)


def test_who_does_not_is_answered_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(web, "BODY_SECONDS", 0.5)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            for piece in (HEAD, b"123", b"45"):
                writer.write(piece)
                await asyncio.sleep(0.1)
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"own: 1" in head and b"own: 0" not in head and b"added: 2" in head
            assert await reader.readexactly(1) == b"5"
            await asyncio.sleep(0.3)  # longer than that in all, but each request in its time
        writer.close()

    serve(talk)


def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="choose another with --host or --port"):
            listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(UsageError, match="Cannot listen on"):
        listen("no.such.host.invalid", 0)


def test_who_takes_in_nothing_of_an_answer_is_dropped_and_who_is_slow_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TAKING_SECONDS", 1.0)

    async def talk(port: int) -> None:
        slow, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await slow.readuntil(b"\r\n\r\n")
        idle = socket.create_connection(("127.0.0.1", port))
        idle.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        for _ in range(16):  # four seconds of a slow line
            await slow.readexactly(MUCH // 64)
            await asyncio.sleep(0.25)
        await slow.readexactly(MUCH - 16 * (MUCH // 64))
        writer.close()
        idle.settimeout(10)
        with contextlib.suppress(ConnectionResetError):  # what was on the way, then the end
            taken = 0
            while piece := await asyncio.to_thread(idle.recv, 1 << 20):
                taken += len(piece)
                assert taken < MUCH
        idle.close()

    serve(talk, say_much)
