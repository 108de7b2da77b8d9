"""The application: who does not take in what is sent is hung up on, and which pages may use it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import httpx
import pytest
import uvicorn
from serve_uploads import encode, noise
from starlette.types import Receive, Scope, Send

from step1x_edit.errors import UsageError
from step1x_edit.serve.app import Account, create_app
from step1x_edit.serve.limits import Limits, Settings
from step1x_edit.serve.service import Service
from step1x_edit.web import listen


def test_pages_of_the_sites_that_are_named_may_use_it() -> None:
    site, other = "https://photos.example", "https://evil.example"
    app = create_app(Settings(hosts=("127.0.0.1",), origins=("https://Photos.example",)))
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-stainless-os"}

    async def run() -> list[httpx.Response]:
        with listen("127.0.0.1", 0) as sock:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none", loop="asyncio"))
            running = asyncio.create_task(server.serve(sockets=[sock]))
            root = f"http://127.0.0.1:{sock.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=root, trust_env=False) as http:
                answers = [await http.options("/v1/images/edits", headers={"origin": origin, **asks}) for origin in (site, other)]
                for origin in (site, other):
                    answers.append(await http.get("/v1/models", headers={"origin": origin, "sec-fetch-site": "cross-site"}))
            server.should_exit = True
            await running
            return answers

    allowed, refused, answered, kept_out = asyncio.run(run())
    assert allowed.status_code == 200 and allowed.headers["access-control-allow-origin"] == site
    assert "x-stainless-os" in allowed.headers["access-control-allow-headers"]
    assert answered.status_code == 200 and answered.headers["access-control-allow-origin"] == site
    assert "x-request-id" in answered.headers["access-control-expose-headers"]
    assert (refused.status_code, kept_out.status_code) == (400, 403)
    assert "access-control-allow-origin" not in {**refused.headers, **kept_out.headers}


@pytest.mark.parametrize("origin", ["", "photos.example", "https://photos.example/", "https://*.example", "ftp://photos.example", "null"])
def test_sites_that_are_none_are_refused(origin: str) -> None:
    with pytest.raises(UsageError, match="is not a site; give one as"):
        Settings(origins=("http://localhost:3000", origin))


def test_all_sites_are_let_in_only_with_keys(tmp_path: Path) -> None:
    assert Settings(origins=("*",), keys=tmp_path / "keys.json")
    with pytest.raises(UsageError, match="asks for keys"):
        Settings(origins=("*",))


PIECE = bytes(1_000_000)


async def send_much(scope: Scope, receive: Receive, send: Send) -> None:
    """A hundred megabytes."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100000000")]})
    for left in range(99, -1, -1):
        await send({"type": "http.response.body", "body": PIECE, "more_body": left > 0})


def test_who_does_not_listen_is_hung_up_on_and_who_does_gets_all() -> None:
    service = Service(Settings(limits=Limits(send_seconds=1.0)))

    async def run() -> tuple[int, int]:
        with listen("127.0.0.1", 0) as sock:
            config = uvicorn.Config(Account(send_much, service), log_config=None, lifespan="off", ws="none", loop="asyncio")
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve(sockets=[sock]))
            sizes = []
            for pause in (0.0, 2.5):
                reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1], limit=10_000)
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                await asyncio.sleep(pause)
                size = 0
                with contextlib.suppress(ConnectionError):  # how being hung up on may look
                    while data := await reader.read(1_000_000):
                        size += len(data)
                sizes.append(size)
                writer.close()
            server.should_exit = True
            await running
            return sizes[0], sizes[1]

    listening, deaf = asyncio.run(run())
    assert listening > 100_000_000 > deaf


def test_who_takes_in_a_large_event_slowly_gets_all_of_it() -> None:
    app = create_app(Settings(limits=Limits(send_seconds=1.0)))
    picture, fields = encode(noise(800, 600)), {"prompt": "make it night", "stream": "true"}
    form = httpx.Request("POST", "http://localhost/v1/images/edits", data=fields, files={"image": picture})
    body, kind = form.read(), form.headers["content-type"]
    head = f"POST /v1/images/edits HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"

    async def run() -> bytes:
        with listen("127.0.0.1", 0) as sock, socket.socket() as line:
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none", loop="asyncio"))
            running = asyncio.create_task(server.serve(sockets=[sock]))
            while not (server.started and app.state.service.engine.ready):
                await asyncio.sleep(0.05)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # so that it is not the system that takes all in at once
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            line.connect(sock.getsockname())
            reader, writer = await asyncio.open_connection(sock=line, limit=65536)
            writer.write(head.encode() + body)
            answer = bytearray()
            while not answer.endswith(b"\r\n0\r\n\r\n") and (data := await reader.read(65536)):
                answer += data
                await asyncio.sleep(len(data) / 500_000)
            writer.close()
            server.should_exit = True
            await running
            return bytes(answer)

    answer = asyncio.run(run())
    assert len(answer) > 1_000_000 and b"image_edit.completed" in answer and answer.endswith(b"\r\n0\r\n\r\n")
