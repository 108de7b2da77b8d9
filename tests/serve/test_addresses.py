"""Reading pictures from addresses: a real server with a real certificate, reached only by the rules."""

from __future__ import annotations

import asyncio
import base64
import http.server
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from step1x_edit.errors import UsageError
from step1x_edit.serve.addresses import Reader, is_public
from step1x_edit.serve.limits import Limits
from step1x_edit.serve.orders import Clerk
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.uploads import Upload

PICTURE = b"not looked at here"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path."""

    def do_GET(self) -> None:
        asked: list[str] = self.server.asked  # type: ignore[attr-defined]
        asked.append(f"{self.headers['host']} {self.path}")
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path == "/slow":
            time.sleep(1)
        elif self.path == "/nowhere":
            self.send_response(302)
            self.end_headers()
        elif self.path == "/loop":
            self.send_response(301)
            self.send_header("location", "/loop")
            self.end_headers()
        else:
            self.send_response(404 if self.path == "/gone" else 200)
            self.end_headers()
            self.wfile.write(bytes(2000) if self.path == "/large" else PICTURE)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, ssl.SSLContext, list[str]]]:
    """Port, certificates and what was asked of a server that is localhost."""
    authority = trustme.CA()
    own, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(own)
    authority.configure_trust(trust)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.asked = []  # type: ignore[attr-defined]
    running.socket = own.wrap_socket(running.socket, server_side=True)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running.server_address[1], trust, running.asked  # type: ignore[attr-defined,misc]
    running.shutdown()
    running.server_close()


def read(url: str, hosts: tuple[str, ...] = ("localhost",), permitted: Callable[[str], bool] = lambda _: True, **options: object) -> bytes:
    return asyncio.run(Reader(hosts, permitted, **options).read(url, 1000))  # type: ignore[arg-type]


def refused(url: str, sentence: str, **options: object) -> None:
    with pytest.raises(Refusal, match=sentence):
        read(url, **options)  # type: ignore[arg-type]


def test_an_allowed_host_is_read(web: tuple[int, ssl.SSLContext, list[str]]) -> None:
    port, trust, asked = web
    assert read(f"https://localhost:{port}/a/b.png?c=d", trust=trust) == PICTURE
    assert asked[-1] == f"localhost:{port} /a/b.png?c=d"
    assert read(f"https://localhost:{port}/to//x.png", trust=trust) == PICTURE


def test_what_is_not_to_be_had(web: tuple[int, ssl.SSLContext, list[str]]) -> None:
    port, trust, _ = web
    refused(f"https://localhost:{port}/gone", "status 404", trust=trust)
    refused(f"https://localhost:{port}/nowhere", "status 302", trust=trust)
    refused(f"https://localhost:{port}/to///a]b/", "not an address", trust=trust)
    refused(f"https://localhost:{port}/large", "larger than a request may be", trust=trust)
    refused(f"https://localhost:{port}/loop", "leads on too often", trust=trust)
    refused(f"https://localhost:{port}/x", "out of reach")  # its certificate is nobody's whom the machine trusts
    refused("https://localhost:1/x", "out of reach", trust=trust)


def test_a_request_is_looked_at_before_its_addresses_and_its_limits_hold_for_them(web: tuple[int, ssl.SSLContext, list[str]]) -> None:
    port, trust, asked = web
    model: Any = SimpleNamespace(model="mini", references=2, size=128)
    clerk = Clerk(Limits(bytes=30), ("mini",), Reader(("localhost",), lambda _: True, trust), lambda: 1)
    taken: list[int] = []

    def refused(sentence: str, *paths: str, **fields: object) -> None:
        images = [{"image_url": f"https://localhost:{port}{path}"} for path in paths]
        with pytest.raises(Refusal, match=sentence):
            asyncio.run(clerk.read_edit(Upload({"prompt": "make it night", "images": images, **fields}), model, taken.append))

    before = len(asked)
    refused("There is no model maxi", "/x", model="maxi")
    refused("takes 2 pictures in a request, not 3", "/x", "/x", "/x")
    with pytest.raises(UsageError, match="instruction is empty"):
        asyncio.run(clerk.read_edit(Upload({"prompt": " ", "images": [{"image_url": "https://localhost/x"}]}), model, taken.append))
    assert len(asked) == before and not taken
    refused("larger than a request may be", "/x", "/x")
    assert taken == [30]
    refused("not a whole picture", "/x")
    assert taken == [30, 30, len(PICTURE) - 30]  # what was not needed is given back
    refused(r"did not answer within 0\.3 seconds", "/slow", timeout=0.3)


def test_private_networks_are_not_entered_not_even_by_a_redirect(web: tuple[int, ssl.SSLContext, list[str]]) -> None:
    port, trust, asked = web
    before = len(asked)
    refused(f"https://localhost:{port}/x", "private network", permitted=is_public, trust=trust)
    assert len(asked) == before
    refused(f"https://localhost:{port}/to/https://elsewhere.example/", "does not read from elsewhere.example", trust=trust)
    refused(f"https://localhost:{port}/to/http://localhost:{port}/", "must be of the form https", trust=trust)


def test_a_name_is_looked_up_once_and_all_its_addresses_count(
    web: tuple[int, ssl.SSLContext, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, trust, _ = web
    answers = [["127.0.0.1"], ["10.0.0.1"]]

    async def look_up(self: object, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host[0].isdigit():  # the client's own, of the address that was looked at
            return [(2, 1, 6, "", (host, port))]
        return [(2, 1, 6, "", (address, port)) for address in answers.pop(0)]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", look_up)
    assert read(f"https://localhost:{port}/x", permitted=lambda address: address == "127.0.0.1", trust=trust) == PICTURE
    assert answers == [["10.0.0.1"]]
    answers[:] = [["93.184.216.34", "10.0.0.1"]]
    refused(f"https://localhost:{port}/x", "private network", permitted=is_public, trust=trust)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://example.com/x.png", "does not read from example.com"),
        ("https://localhost.example.com/x.png", "does not read from"),
        ("https://user@localhost/x.png", "must be of the form"),
        ("http://localhost/x.png", "must be of the form"),
        ("file:///etc/passwd", "must be of the form"),
        ("ftp://localhost/x", "must be of the form"),
        ("https://localhost:99999/x", "not an address"),
        ("https://[::1/x", "not an address"),
        ("https://localhost/\r\nx: y", "must be of the form"),
        ("", "must be of the form"),
        ("data:image/png,abc", "must be of the form data"),
        ("data:image/png;base64,!!", "does not hold base64"),
    ],
)
def test_addresses_that_are_refused_unread(url: str, sentence: str) -> None:
    refused(url, sentence)


def test_without_a_list_no_address_is_read_but_data_is() -> None:
    refused("https://localhost/x.png", "reads no addresses", hosts=())
    assert read("data:image/png;base64," + base64.b64encode(PICTURE).decode(), hosts=()) == PICTURE


def test_a_star_is_for_all_of_a_domain_and_not_for_its_neighbours() -> None:
    refused("https://a.example.com/x", "private|no host|out of reach", hosts=("*.example.com",), permitted=is_public)
    refused("https://badexample.com/x", "does not read from", hosts=("*.example.com",))


def test_what_counts_as_public() -> None:
    private = (
        "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 255.255.255.255 ::1 fe80::1%eth0 fc00::1 "
        "ff02::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 2002:7f00:1:: 2002:a00:1::"
    )
    assert [address for address in private.split() if is_public(address)] == []
    assert all(is_public(address) for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"))
    for network in ("10.0.0.0/8", "192.168.0.0/16", "127.0.0.0/8"):
        assert not is_public(str(ipaddress.ip_network(network)[77]))
