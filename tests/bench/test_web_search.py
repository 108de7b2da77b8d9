"""Picture searches on the web, against a server that answers as each of them does: words go out, never a picture."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from step1x_edit.bench.building.clearing import NotCleared
from step1x_edit.bench.building.web_search import SERVICES, WebSearch
from step1x_edit.bench.calls import Limits, Passing
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.errors import Step1XError, UsageError

TOOLS = Toolbox.offline()
FAST = Limits(attempts=2, first_wait=0.01, longest_wait=0.05, timeout=10)


class Handler(BaseHTTPRequestHandler):
    """Answers every search at /NAME, and has the pictures at /picture/."""

    pictures: dict[str, bytes]
    calls: list[tuple[str, dict[str, list[str]], dict[str, str], int]]
    script: list[int]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        name = address.path.strip("/")
        body = b""
        status = 404
        if name.startswith("picture/"):
            body, status = self.pictures.get(name.removeprefix("picture/"), b""), 200
            status = 200 if body else 404
        elif name in SERVICES:
            sent = int(self.headers.get("Content-Length") or 0)
            self.calls.append((name, parse_qs(address.query), dict(self.headers), sent))
            status = self.script.pop(0) if self.script else 200
            body = json.dumps(self._results(name)).encode() if status == 200 else b"{}"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _results(self, name: str) -> dict[str, Any]:
        root = f"http://{self.headers['Host']}/picture"
        addresses: list[Any] = [*(f"{root}/{each}" for each in self.pictures), f"{root}/gone.png", "ftp://x/y.png", 5, None]
        match name:
            case "openverse":
                return {"result_count": 5, "results": [{"url": each, "license": "cc0"} for each in addresses]}
            case "google":
                return {"kind": "customsearch#search", "items": [{"link": each, "title": "t"} for each in addresses]}
            case "serpapi":
                return {"images_results": [{"original": each, "position": 1} for each in addresses]}
        return {"type": "images", "results": [*({"properties": {"url": each}} for each in addresses), {}, 3]}


@pytest.fixture
def own(draw_scene: Callable[..., Image.Image]) -> Image.Image:
    return draw_scene(160, 120, seed=1)


@pytest.fixture
def server(own: Image.Image) -> Iterator[tuple[str, type[Handler]]]:
    def encode(picture: Image.Image) -> bytes:
        out = BytesIO()
        picture.save(out, "PNG")
        return out.getvalue()

    near = own.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pictures = {
        "far.png": encode(Image.new("RGB", (90, 60), "purple")),
        "near.png": encode(near),
        "same.png": encode(own),
        "no.png": b"<html>",
    }
    handler = type("One", (Handler,), {"pictures": pictures, "calls": [], "script": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", handler
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def search(server: tuple[str, type[Handler]], name: str) -> WebSearch:
    return WebSearch(name, TOOLS.captioner, TOOLS.similarity, "secret-key", {"cx": "mine"}, f"{server[0]}/{name}", FAST)


@pytest.mark.parametrize("name", SERVICES)
def test_words_go_out_and_the_most_alike_comes_first(name: str, server: tuple[str, type[Handler]], own: Image.Image) -> None:
    found = search(server, name).find(np.asarray(own))
    handler = server[1]
    assert found[0].picture == handler.pictures["near.png"] and all(each.picture != handler.pictures["same.png"] for each in found)
    (_, query, headers, sent), *others = handler.calls
    assert not others and sent == 0
    assert query["q"] == [TOOLS.captioner.caption(np.asarray(own))] and len(query["q"][0]) < 300
    assert query["cx"] == ["mine"]
    assert "secret-key" in str(query) + str(headers)


def test_a_busy_search_is_asked_again_and_a_wrong_key_ends_it(server: tuple[str, type[Handler]], own: Image.Image) -> None:
    handler, pixels = server[1], np.asarray(own)
    handler.script[:] = [429]
    assert search(server, "brave").find(pixels) and len(handler.calls) == 2
    handler.script[:] = [503, 503]
    with pytest.raises(Passing, match="no answer in 2 attempts"):
        search(server, "brave").find(pixels)
    handler.script[:] = [401]
    with pytest.raises(Step1XError, match="check the key"):
        search(server, "brave").find(pixels)
    handler.script[:] = [422]
    with pytest.raises(NotCleared, match="refused the words"):
        search(server, "brave").find(pixels)


def test_what_cannot_be_opened_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="no search 'x'; choose from openverse"):
        WebSearch("x", TOOLS.captioner, TOOLS.similarity)
    with pytest.raises(UsageError, match="needs a key"):
        WebSearch("google", TOOLS.captioner, TOOLS.similarity)
