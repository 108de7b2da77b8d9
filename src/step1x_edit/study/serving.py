"""Serve a study: one process, one writer, no log of who came."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn

from step1x_edit.study.app import create_app
from step1x_edit.study.claim import claim_database
from step1x_edit.study.opening import OpenStudy
from step1x_edit.web import BoundedProtocol, address_of, listen


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
    with claim_database(opened.engine) as renew, listen(host, port) as listening:
        config = uvicorn.Config(
            create_app(opened, public_url, seed, renew),
            http=BoundedProtocol,
            loop="asyncio",  # measured: uvloop lets new connections starve while old ones are busy
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody's address is wanted
            timeout_graceful_shutdown=5,
        )
        ready(public_url or address_of(listening, host))
        uvicorn.Server(config).run(sockets=[listening])
