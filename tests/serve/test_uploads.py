"""Hostile uploads, slow senders, endless bodies, and clients that leave: each is answered or dropped, and the next one served."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serve_server import Server
from serve_uploads import HOSTILE, encode, noise
from starlette.requests import Request

from step1x_edit.serve.limits import Limits
from step1x_edit.serve.refusals import Refusal
from step1x_edit.serve.uploads import read_upload

PICTURE = encode(noise(64, 48))


@pytest.fixture(autouse=True)
def still_serves(http: httpx.Client, server: Server) -> Iterator[None]:
    """After each test an edit works, in the same process."""
    restarts = server.metric("step1x_restarts_total")
    yield
    assert http.post("/v1/images/edits", data={"prompt": "make it night"}, files={"image": PICTURE}).status_code == 200
    assert server.metric("step1x_restarts_total") == restarts


@pytest.mark.parametrize("field", ["image", "image[]", "mask", "other"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(http: httpx.Client, kind: str, field: str) -> None:
    data = HOSTILE[kind](random.Random(f"{kind} {field}"))
    files = {field: data} if field.startswith("image") else {"image": PICTURE, field: data}
    answer = http.post("/v1/images/edits", data={"prompt": "make it night", "output_format": "jpeg"}, files=files)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.json()["error"]["message"].endswith(".")


def test_names_of_files_lead_nowhere(http: httpx.Client) -> None:
    for name, status in {"../../etc/passwd": 200, "/dev/null": 200, "x\u202e.png": 200, "C:\\windows": 200, "a" * 5000: 400}.items():
        answer = http.post("/v1/images/edits", data={"prompt": "make it night"}, files={"image": (name, PICTURE)})
        assert answer.status_code == status


def test_a_form_of_very_many_fields(http: httpx.Client) -> None:
    answer = http.post("/v1/images/edits", data={f"x{i}": "1" for i in range(5000)}, files={"image": PICTURE})
    assert answer.status_code == 400 and "Too many fields" in answer.json()["error"]["message"]
    answer = http.post("/v1/images/edits", data={"prompt": "x" * 2_000_000}, files={"image": PICTURE})
    assert answer.status_code == 400 and "cannot be read" in answer.json()["error"]["message"]


def test_an_endless_body_is_cut_short(http: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield bytes(100_000)

    answer = http.post("/v1/images/edits", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413 and "more than 8 MiB" in answer.json()["error"]["message"]


def test_room_for_all_requests_is_room_for_the_largest() -> None:
    with pytest.raises(ValueError, match="larger than all together"):
        Limits(bytes=2**30)


def _post(server: Server, body: bytes = PICTURE, more: str = "") -> bytes:
    parts = b"".join(
        b'--x\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value.encode())
        for name, value in {"prompt": "make it night", "steps": "100", "n": "10"}.items()
    )
    parts += b'--x\r\ncontent-disposition: form-data; name="image"; filename="x.png"\r\n\r\n' + body + b"\r\n--x--\r\n"
    head = f"POST /v1/images/edits HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n{more}"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(parts) + parts


def test_a_client_that_leaves_is_not_worked_for(server: Server) -> None:
    cancelled = server.metric("step1x_cancelled_total")
    with socket.create_connection((server.host, server.port)) as line:
        line.sendall(_post(server))
        until = time.monotonic() + 20
        while server.metric("step1x_working") == 0 and time.monotonic() < until:
            time.sleep(0.05)
    while server.metric("step1x_cancelled_total") < cancelled + 10 and time.monotonic() < until:
        time.sleep(0.05)
    assert server.metric("step1x_cancelled_total") == cancelled + 10
    while server.metric("step1x_working") and time.monotonic() < until:
        time.sleep(0.05)
    assert server.metric("step1x_working") == 0 and server.metric("step1x_held_bytes") == 0


def test_a_client_that_leaves_in_the_middle_of_its_upload(server: Server) -> None:
    with socket.create_connection((server.host, server.port)) as line:
        line.sendall(_post(server)[:-2000])
    until = time.monotonic() + 20
    while server.metric("step1x_held_bytes") and time.monotonic() < until:
        time.sleep(0.05)
    assert server.metric("step1x_held_bytes") == 0


def test_what_says_no_length_keeps_no_more_room_than_it_needs(server: Server, http: httpx.Client) -> None:
    form = httpx.Request("POST", server.root, data={"prompt": "dawdle"}, files={"image": PICTURE})
    body, kind = form.read(), {"content-type": form.headers["content-type"]}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(http.post, "/v1/images/edits", content=iter([body]), headers=kind)
        until = time.monotonic() + 20
        while server.metric("step1x_working") < 1 and time.monotonic() < until:
            time.sleep(0.02)
        assert server.metric("step1x_held_bytes") == len(body)
        answer = asked.result()
    assert answer.status_code == 200 and answer.request.headers["transfer-encoding"] == "chunked"


def test_a_body_that_takes_too_long_is_told_so() -> None:
    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.05)
        return {"type": "http.request", "body": b"", "more_body": True}

    for kind in (b"application/json", b"multipart/form-data; boundary=x"):
        request = Request({"type": "http", "headers": [(b"content-type", kind)]}, receive)
        with pytest.raises(Refusal, match=r"within 0\.3 seconds") as caught:
            asyncio.run(read_upload(request, Limits(upload_seconds=0.3), lambda more: None))
        assert caught.value.http_status == 408
