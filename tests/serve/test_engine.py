"""The engine when things break: a model's process that dies, hangs or runs out of memory, too many requests, keys, and the end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import openai
import pytest
from PIL import Image
from serve_server import Server
from serve_uploads import encode, noise

from step1x_edit.serve.engine import Engine
from step1x_edit.serve.keys import Keys
from step1x_edit.serve.limits import Settings
from step1x_edit.serve.messages import Done, Failed, Opening, Preview, Task
from step1x_edit.serve.metrics import Metrics

PICTURE = encode(noise(64, 48))


def ask(http: httpx.Client, prompt: str = "make it night", picture: bytes = PICTURE, **fields: str) -> httpx.Response:
    return http.post("/v1/images/edits", data={"prompt": prompt} | fields, files={"image": picture})


def test_one_that_kills_the_process_fails_alone(http: httpx.Client, server: Server) -> None:
    restarts = server.metric("step1x_restarts_total")
    prompts = ["make it night", "die", "make it autumn", "make it winter"]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda prompt: ask(http, prompt), prompts))
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    error = answers[1].json()["error"]
    assert (error["type"], error["code"]) == ("server_error", "edit_failed") and "brought the model's process down" in error["message"]
    assert server.metric("step1x_restarts_total") >= restarts + 2  # once in company, once alone
    assert ask(http).status_code == 200


def test_one_that_is_short_of_memory_fails_alone(http: httpx.Client, server: Server) -> None:
    restarts = server.metric("step1x_restarts_total")
    large = encode(Image.new("RGB", (4800, 3800), (90, 120, 60)), "JPEG")
    answer = ask(http, "starve", large)
    assert answer.status_code == 500 and "not enough memory" in answer.json()["error"]["message"]
    assert ask(http).status_code == 200  # it lifts the limit once its picture is read, for which little is enough
    assert ask(http, picture=large).status_code == 200
    assert server.metric("step1x_restarts_total") == restarts  # told, not died of


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Keys]]:
    """A server with keys, little room and little patience."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = Keys.open(path)
    options = ["--keys", str(path), "--waiting", "6", "--waiting-each", "4", "--batch", "2", "--seconds", "20"]
    running = Server(*options, "--content-filter", "serve_faults:Faults")
    yield running, keys
    running.stop()


def test_more_results_than_may_ever_wait_are_refused_for_good(keyed: tuple[Server, Keys]) -> None:
    server, keys = keyed
    head = {"authorization": f"Bearer {keys.add('bob')}"}
    with httpx.Client(base_url=server.root, headers=head, trust_env=False) as http:
        answer = http.post("/v1/images/edits", data={"prompt": "make it night", "n": "5"}, files={"image": encode(noise(64, 48))})
    assert answer.status_code == 400 and "at most 4 results" in answer.json()["error"]["message"]


def test_keys_open_the_door(keyed: tuple[Server, Keys]) -> None:
    server, keys = keyed
    secret = keys.add("alice")
    with httpx.Client(base_url=server.root, trust_env=False) as http:
        for path in ("/v1/models", "/metrics"):
            assert http.get(path).json()["error"]["code"] == "invalid_api_key"
            assert http.get(path, headers={"authorization": f"Bearer {secret}x"}).status_code == 401
            assert http.get(path, headers={"authorization": f"Bearer {secret}"}).status_code == 200
        assert http.get("/health").status_code == 200
        assert http.post("/v1/images/edits", content=b"", headers={"content-type": "x/y"}).status_code == 401
    with openai.OpenAI(base_url=f"{server.root}/v1", api_key=secret, max_retries=0) as client:
        assert client.images.edit(image=PICTURE, prompt="make it night").data
        keys.revoke("alice")
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
    assert server.has_said("key=alice") and secret not in server.output


def test_a_rush_is_answered_with_429_and_leaves_room_for_others(keyed: tuple[Server, Keys]) -> None:
    server, keys = keyed
    rushing, other = keys.add("rushing"), keys.add("other")
    with httpx.Client(base_url=server.root, trust_env=False, timeout=200) as http:

        def edit(secret: str) -> httpx.Response:
            data = {"prompt": "make it night", "steps": "8"}
            return http.post("/v1/images/edits", data=data, files={"image": PICTURE}, headers={"authorization": f"Bearer {secret}"})

        with ThreadPoolExecutor(20) as pool:
            rush = [pool.submit(edit, rushing) for _ in range(19)]
            time.sleep(0.3)
            assert edit(other).status_code == 200
            answers = [future.result() for future in rush]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and {answer.status_code for answer in answers} == {200, 429}
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
    assert refused[0].json()["error"]["code"] == "rate_limit_exceeded"


def test_one_key_does_not_take_the_memory_of_all(keyed: tuple[Server, Keys]) -> None:
    server, keys = keyed
    greedy, other = keys.add("greedy"), keys.add("modest")
    head = f"POST /v1/images/edits HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {greedy}\r\n"
    head += "content-type: application/json\r\ncontent-length: 33554432\r\n\r\n{"
    with ExitStack() as lines, httpx.Client(base_url=server.root, trust_env=False, timeout=200) as http:
        asked = [lines.enter_context(socket.create_connection((server.host, server.port))) for _ in range(16)]
        for line in asked:
            line.sendall(head.encode())
        refused, _, _ = select.select(asked, [], [], 60)
        assert refused and refused[0].recv(100).startswith(b"HTTP/1.1 429")
        answer = http.post(
            "/v1/images/edits",
            data={"prompt": "make it night"},
            files={"image": PICTURE},
            headers={"authorization": f"Bearer {other}"},
        )
    assert answer.status_code == 200, answer.text


def test_the_end_finishes_what_was_begun() -> None:
    server = Server()
    answers: list[int] = []

    def edit() -> None:
        with httpx.Client(base_url=server.root, trust_env=False, timeout=200) as http:
            answers.append(ask(http, steps="20").status_code)

    clients = [threading.Thread(target=edit) for _ in range(3)]
    for client in clients:
        client.start()
    until = time.monotonic() + 20
    while server.metric("step1x_working") < 1 and time.monotonic() < until:
        time.sleep(0.02)
    assert server.stop(signal.SIGINT) in (0, 130)
    for client in clients:
        client.join()
    assert answers == [200] * 3 and server.has_said("Stopped")


def test_no_lock_is_left_behind_or_held_by_who_was_killed(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for each in (str(server.process.pid), *children):
        assert "/sem.mp-" not in Path(f"/proc/{each}/maps").read_text()


def test_the_end_that_all_its_processes_are_told_of_finishes_what_is_in_time_and_tells_the_others() -> None:
    server = Server("--content-filter", "serve_faults:Faults", "--grace", "10")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()

    def edit(prompt: str, stream: str = "false") -> tuple[int, str]:
        with httpx.Client(base_url=server.root, trust_env=False, timeout=200) as http:
            answer = ask(http, prompt, stream=stream)
            return answer.status_code, answer.text

    with ThreadPoolExecutor(3) as pool, socket.create_connection((server.host, server.port)) as line:
        line.sendall(b"POST /v1/images/edits HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        begun = pool.submit(edit, "dawdle")
        until = time.monotonic() + 20
        while server.metric("step1x_working") < 1 and time.monotonic() < until:
            time.sleep(0.02)
        endless = [pool.submit(edit, "hang"), pool.submit(edit, "hang", "true")]
        while server.metric("step1x_waiting") < 2 and time.monotonic() < until:
            time.sleep(0.02)
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        assert server.stop(signal.SIGTERM, 120) == -signal.SIGTERM
        assert begun.result()[0] == 200
        waited, streamed, arriving = endless[0].result(), endless[1].result()[1], line.recv(10_000)
    assert waited[0] == 503 and all("shutting_down" in said for said in (waited[1], streamed, arriving.decode()))
    assert arriving.startswith(b"HTTP/1.1 503") and "Traceback" not in server.output and "started again" not in server.output


def test_who_interrupts_it_twice_does_not_wait() -> None:
    server = Server("--content-filter", "serve_faults:Faults")
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=server.root, trust_env=False, timeout=200) as http:
        hanging = pool.submit(ask, http, "hang")
        until = time.monotonic() + 20
        while server.metric("step1x_working") < 1 and time.monotonic() < until:
            time.sleep(0.02)
        server.process.send_signal(signal.SIGINT)
        time.sleep(1)
        began = time.monotonic()
        assert server.stop(signal.SIGINT) in (0, 130) and time.monotonic() - began < 30
        assert hanging.result().json()["error"]["code"] == "shutting_down"
    assert "Traceback" not in server.output
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < began + 30:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_weights_that_are_not_there_end_the_server(tmp_path: Path) -> None:
    server = Server("--weights", str(tmp_path), wait=False)
    assert server.process.wait(60) == 1
    server.stop()
    assert server.has_said("step1x: ") and "Traceback" not in server.output


FAULTY = Opening("mini", threads=1, content_filter="serve_faults:Faults")


def a_task(engine: Engine, instruction: str) -> Task:
    return Task(engine.number(), "kind", 64 * 48, (PICTURE,), instruction, seed=1)


def test_one_that_is_late_takes_no_one_else_down() -> None:
    async def run() -> tuple[list[Preview | Done | Failed], bool]:
        engine = Engine(Settings((FAULTY,), grace=0.1), Metrics())
        await engine.start()
        first = engine.submit("somebody", [a_task(engine, "make it night")], 120)
        while not engine.ready:
            await asyncio.sleep(0.05)
        late, other = (engine.submit("somebody", [a_task(engine, "dawdle")], seconds) for seconds in (4, 120))
        before, ends = engine.processes, [await ticket.events.get() for (ticket,) in (first, late, other)]
        same = engine.processes == before
        await engine.stop()
        return ends, same

    ends, same = asyncio.run(run())
    assert [type(end) for end in ends] == [Done, Failed, Done] and same


def test_a_client_that_leaves_what_hangs_leaves_no_process_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step1x_edit.serve.process.STOP_SECONDS", 0.5)

    async def run() -> Preview | Done | Failed:
        engine = Engine(Settings((FAULTY,), grace=0.2), Metrics())
        await engine.start()
        while not engine.ready:
            await asyncio.sleep(0.05)
        for seconds in (1, 600):
            tickets = engine.submit("somebody", [a_task(engine, "hang")], seconds)
            await asyncio.sleep(0.3)
            engine.cancel(tickets)
            if seconds == 1:
                (next_one,) = engine.submit("somebody", [a_task(engine, "make it autumn")], 120)
                end = await next_one.events.get()
        await asyncio.wait_for(engine.stop(), 20)
        return end

    assert isinstance(asyncio.run(run()), Done)


def test_one_that_hangs_is_told_and_its_process_replaced() -> None:
    settings = Settings((FAULTY,), grace=0.2)

    async def run() -> tuple[list[Preview | Done | Failed], list[int], list[int]]:
        engine = Engine(settings, Metrics())
        await engine.start()

        async def make(instruction: str, seconds: float) -> Preview | Done | Failed:
            return await engine.submit("somebody", [a_task(engine, instruction)], seconds)[0].events.get()

        ends, before = [await make("make it night", 120)], engine.processes
        ends += await asyncio.gather(make("hang", 2), make("make it autumn", 120))
        after = engine.processes
        await engine.stop()
        return ends, before, after

    ends, before, after = asyncio.run(run())
    assert [type(end) for end in ends] == [Done, Failed, Done]
    assert isinstance(ends[1], Failed) and (ends[1].status, ends[1].code) == (504, "deadline_exceeded")
    assert len(before) == len(after) == 1 and before != after
