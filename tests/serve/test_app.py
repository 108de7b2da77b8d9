"""The account of requests: who does not take in what is sent is hung up on."""

from __future__ import annotations

import asyncio
import contextlib

import uvicorn
from starlette.types import Receive, Scope, Send

from step1x_edit.serve.app import Account
from step1x_edit.serve.limits import Limits, Settings
from step1x_edit.serve.service import Service
from step1x_edit.web import listen

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
