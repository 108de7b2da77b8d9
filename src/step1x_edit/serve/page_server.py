"""Serve the page of `step1x ui`: one process, one editor."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from step1x_edit.serve.page import create_page
from step1x_edit.serve.session import Desk
from step1x_edit.web import LOCAL, BoundedProtocol, address_of, is_local, listen

if TYPE_CHECKING:
    from step1x_edit.editor import Editor


class PageServer(uvicorn.Server):
    """Waits for nobody when it ends: an open page keeps a connection for as long as it is open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End by hanging up, so that an open page sees that its edit will not come."""
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await super().shutdown(sockets)


def serve_page(
    editor: Editor,
    host: str,
    port: int,
    photos: Sequence[Path] = (),
    ready: Callable[[str], None] = lambda url: None,
    hosts: Sequence[str] = (),
) -> None:
    """Serve until interrupted.

    Args:
        editor: what edits.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        photos: offered as examples.
        ready: called with the page's address once people can connect.
        hosts: further names under which the page is addressed, as behind a proxy.

    Raises:
        UsageError: the port is taken, or the address is not this machine's.
    """
    with closing(Desk(editor)) as desk, listen(host, port) as listening:
        config = uvicorn.Config(
            create_page(desk, photos, (*LOCAL, host, *hosts) if is_local(host) else None, hosts),
            http=BoundedProtocol,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        ready(address_of(listening, host))
        PageServer(config).run(sockets=[listening])
