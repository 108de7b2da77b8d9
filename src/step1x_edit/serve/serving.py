"""Serve: one process that speaks HTTP, and one for each device that holds the model."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import replace

import uvicorn

from step1x_edit.errors import Step1XError
from step1x_edit.serve.app import create_app
from step1x_edit.serve.engine import Engine
from step1x_edit.serve.limits import Settings
from step1x_edit.web import LOCAL, BoundedProtocol, address_of, is_local, listen

LAST_WORDS = 5
"""Seconds, after the grace is over, for the answers that say so."""

KEEP_SECONDS = 75
"""How long a connection may lie idle: longer than the 60 s of nginx and of load balancers, which would send a request as it is closed."""


class _Server(uvicorn.Server):
    """uvicorn's, which tells those whose pictures are not made when the grace is over, before their connections are closed."""

    def __init__(self, config: uvicorn.Config, engine: Engine, grace: float) -> None:
        super().__init__(config)
        self._engine = engine
        self._grace = grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what was begun, or say that it is not."""
        over = asyncio.get_running_loop().call_later(self._grace, self._engine.abandon)
        await super().shutdown(sockets)
        over.cancel()
        if self.force_exit:  # interrupted twice: nothing is waited for
            self._engine.abandon()
            self._engine.kill()
            await self.lifespan.shutdown()


def serve(
    settings: Settings,
    host: str,
    port: int,
    grace: float = 60.0,
    listening: Callable[[str], None] = lambda url: None,
    log_requests: bool = True,
) -> None:
    """Serve until interrupted; then finish what was begun.

    Args:
        settings: of the server.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        grace: seconds that requests which have been begun may still take at the end.
        listening: called with the server's address once clients can connect.
        log_requests: write a line for each request to stderr.

    Raises:
        UsageError: the port is taken, the address is not this machine's, or the file of keys cannot be read.
        Step1XError: the model cannot be loaded.
    """
    if is_local(host):
        settings = replace(settings, hosts=(*LOCAL, host, *(settings.hosts or ())))
    failures: list[str] = []

    def give_up(sentence: str) -> None:
        failures.append(sentence)
        server.should_exit = True

    app = create_app(settings, give_up)
    logging.basicConfig(level=logging.INFO if log_requests else logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # malformed forms are the client's affair
    with listen(host, port) as connections:
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            loop="asyncio",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_SECONDS,
            timeout_graceful_shutdown=round(grace) + LAST_WORDS,
        )
        server = _Server(config, app.state.service.engine, grace)
        listening(address_of(connections, host))
        asyncio.run(server.serve(sockets=[connections]))
    if failures:
        raise Step1XError(failures[0])
