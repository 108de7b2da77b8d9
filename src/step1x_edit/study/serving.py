"""Serve a study: one process, one writer, no log of who came."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from step1x_edit.errors import UsageError
from step1x_edit.study.app import create_app
from step1x_edit.study.opening import OpenStudy
from step1x_edit.study.store import claim_database

WAITING_CONNECTIONS = 1024


def serve(
    opened: OpenStudy,
    host: str,
    port: int,
    public_url: str | None = None,
    seed: int | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until interrupted.

    Args:
        opened: the study.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        public_url: scheme, host and port that people see, where a proxy stands before the server.
        seed: fixes the assignment.
        ready: called with the pages' address once people can connect.

    Raises:
        UsageError: the port is taken, the address is not this machine's, or another server has the database.
    """
    with claim_database(opened.engine), _listen(host, port) as listening:
        config = uvicorn.Config(
            create_app(opened, public_url, seed),
            loop="asyncio",  # measured: uvloop lets new connections starve while old ones are busy
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody's address is wanted
            timeout_graceful_shutdown=5,
        )
        name = f"[{host}]" if ":" in host else host
        ready(public_url or f"http://{name}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # with the protocol named, answers are not delayed
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(WAITING_CONNECTIONS)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host} port {port} ({error.strerror or error}); choose another with --host or --port."
        ) from error
    return listening
