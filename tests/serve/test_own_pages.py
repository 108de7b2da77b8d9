"""Pages of other sites, before a server that is asked for by names it knows, and one that goes by any name."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from step1x_edit.web import LOCAL, OwnPages

THERE = "http://192.168.1.5:7860"


def client(**options: object) -> TestClient:
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"), methods=["GET", "POST"])])
    app.add_middleware(OwnPages, **options)  # type: ignore[arg-type]
    return TestClient(app)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"sec-fetch-site": "cross-site"}, 200),  # a link
        ("GET", {"origin": "http://evil.example"}, 403),
        ("POST", {}, 200),
        ("POST", {"origin": THERE, "sec-fetch-site": "same-origin"}, 200),
        ("POST", {"origin": "http://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"origin": "https://photos.example"}, 200),  # through a proxy that has another name for the server
        ("OPTIONS", {"origin": "http://evil.example", "access-control-request-method": "POST"}, 403),
    ],
)
def test_a_server_of_any_name(method: str, headers: dict[str, str], status: int) -> None:
    asked = client(further=["photos.example"]).request(method, "/", headers={"host": "192.168.1.5:7860", **headers})
    assert asked.status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "localhost:7860"}, 200),
        ({"host": "[::1]:7860", "origin": "http://[::1]:7860"}, 200),
        ({"host": "127.0.0.1:7860", "origin": "http://localhost:7860"}, 403),  # as any other server on this machine
        ({"host": "localhost:7860", "origin": "http://localhost:9999"}, 403),
        ({"host": "localhost:7860", "origin": "chrome-extension://localhost:7860"}, 403),
        ({"host": "LOCALHOST:7860", "origin": "http://localhost:7860"}, 200),
        ({"host": "evil.example:7860"}, 403),
        ({"host": "127.0.0.1:7860", "origin": "http://evil.example"}, 403),
    ],
)
def test_a_server_that_this_machine_alone_reaches(headers: dict[str, str], status: int) -> None:
    assert client(hosts=LOCAL).get("/", headers=headers).status_code == status
