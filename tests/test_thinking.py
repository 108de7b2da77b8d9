"""The loop of thinking and reflection, with a thinker of given words, with the MLLM, and with a server."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from step1x_edit import Editor, EditRequest
from step1x_edit.endpoint import EndpointThinker
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.thinking import LocalThinker, Try, best_of, edit_thinking, read_reflection, read_scores


@pytest.fixture(scope="module")
def editor(still_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=still_mini)


@dataclass
class Scripted:
    """Answers in turn, by the kind of question."""

    rewrites: list[str] = field(default_factory=list)
    reflections: list[str] = field(default_factory=list)
    scores: list[str] = field(default_factory=list)
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    shown: list[Image.Image] = field(default_factory=list)

    def ask(self, text: str, images: Sequence[Image.Image], most_tokens: int) -> str:
        kind = "rewrites" if len(images) == 1 else "reflections" if "<#Think>" in text else "scores"
        self.asked.append((kind, len(images), most_tokens))
        self.shown += images
        return str(getattr(self, kind).pop(0))


def scores(*numbers: float) -> str:
    return json.dumps(dict(zip(("followed", "kept", "natural", "clean"), numbers, strict=True)))


def run(editor: Editor, thinker: Any, scene: Image.Image, **options: Any) -> list[Try]:
    request = EditRequest(scene.resize((32, 32)), "make it nice", seed=5, steps=1, size=64)
    return list(edit_thinking(editor, request, thinker, **options))


def test_after_the_last_seed_comes_the_first(editor: Editor, scene: Image.Image) -> None:
    thinker = Scripted([], ["<#Think> no. <#Failed>"] * 2, [scores(1, 1, 1, 1)] * 2)
    request = EditRequest(scene.resize((32, 32)), "make it nice", seed=2**63 - 1, steps=1, size=64)
    tries = list(edit_thinking(editor, request, thinker, tries=2, rewrite=False))
    assert [each.result.request.seed for each in tries] == [2**63 - 1, 0]


def test_success_ends_the_loop(editor: Editor, scene: Image.Image) -> None:
    thinker = Scripted(["make it night"], ["<#Think> it is. <#Success>"], [f"Here: {scores(9, 8, 7, 9)} as asked"])
    (only,) = run(editor, thinker, scene, most_tokens=77)
    assert (only.instruction, only.verdict, only.score, only.from_previous, only.problem) == ("make it night", "Success", 56, False, "")
    assert thinker.asked == [("rewrites", 1, 77), ("reflections", 2, 77), ("scores", 2, 77)]


def test_the_thinker_is_shown_small_pictures_with_their_transparent_parts_on_white(editor: Editor) -> None:
    cutout = Image.new("RGBA", (2000, 500), (200, 0, 0, 0))
    cutout.paste((0, 90, 0, 255), (0, 0, 1000, 500))
    thinker = Scripted(["make it nice"], ["<#Think> it is. <#Success>"], [scores(9, 9, 9, 9)])
    list(edit_thinking(editor, EditRequest(cutout, "make it nice", steps=1, size=64), thinker))
    assert [(each.mode, each.size) for each in thinker.shown] == [("RGB", (1024, 256))] * 5
    assert [each.getpixel((900, 100)) for each in thinker.shown] == [(255, 255, 255)] * 5
    assert thinker.shown[0].getpixel((100, 100)) == (0, 90, 0)


def test_reflection_goes_on_from_the_result_and_failure_from_the_source(editor: Editor, scene: Image.Image) -> None:
    thinker = Scripted(
        ["make it night"],
        ["<#Think> a <#Reflection> make it darker", "<#Think> b <#Failed>", "<#Think> c <#Others>"],
        [scores(5, 5, 5, 5), scores(6, 6, 6, 6), scores(6, 6, 6, 6)],
    )
    tries = run(editor, thinker, scene)
    assert [t.instruction for t in tries] == ["make it night", "make it darker", "make it night"]
    assert [t.from_previous for t in tries] == [False, True, False]
    assert [t.result.request.seed for t in tries] == [5, 6, 7]
    assert tries[1].result.request.image is tries[0].result.image
    assert tries[2].result.request.image is tries[0].result.request.image
    assert best_of(tries) is tries[2]  # of equals the latest


def test_answers_that_cannot_be_read_are_asked_for_twice_and_leave_no_score(editor: Editor, scene: Image.Image) -> None:
    thinker = Scripted([""], ["what?", "<#Success>"], ["ten of ten", '{"followed": 11}'])
    (only,) = run(editor, thinker, scene, tries=1)
    assert (only.instruction, only.verdict, only.scores, only.score) == ("make it nice", None, None, None)
    assert (
        only.problem
        == "no verdict: the answer has not the tags that were asked for; no scores: the answer is not the JSON that was asked for"
    )
    assert len(thinker.asked) == 5 and best_of([only]) is only


def test_the_best_is_scored_and_of_equals_a_success(editor: Editor, scene: Image.Image) -> None:
    (plain,) = run(editor, Scripted(["x"], ["<#Think><#Failed>"], [scores(3, 9, 9, 9)]), scene, tries=1)
    unscored = replace(plain, scores=None, verdict="Success")
    succeeded = replace(plain, verdict="Success")
    assert best_of([unscored, plain]) is plain
    assert best_of([plain, succeeded, plain, unscored]) is succeeded


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (" <#Think> hm <#Success>\n", ("Success", "")),
        ("<#Think> hm <#Reflection> add a hat ", ("Reflection", "add a hat")),
        ("<#Think><#Others> x", ("Others", "x")),
        ("hm <#Think> <#Success>", None),
        ("<#Think> a <#Success> <#Failed>", None),
        ("<#Think> <#Think> <#Success>", None),
        ("<#Think> <#Maybe>", None),
        ("<#Think> nothing", None),
        ("", None),
    ],
)
def test_reading_reflections(answer: str, expected: tuple[str, str] | None) -> None:
    assert read_reflection(answer) == expected


@pytest.mark.parametrize(
    "answer",
    ["", "{}", "[1,2]", '{"followed": "9"}', scores(9, 9, 9, 11), scores(9, 9, -1, 9), '{"followed": NaN', scores(9, 9, 9, float("nan"))],
)
def test_scores_that_are_none(answer: str) -> None:
    assert read_scores(answer) is None


def test_what_thinking_needs(editor: Editor, scene: Image.Image) -> None:
    with pytest.raises(UsageError, match="needs a picture"):
        list(edit_thinking(editor, EditRequest(None, "a fox"), Scripted()))
    with pytest.raises(UsageError, match="at least one try"):
        run(editor, Scripted(), scene, tries=0)
    with pytest.raises(UsageError, match="MLLM of mini does not answer questions"):
        LocalThinker(editor)


def test_the_mllm_answers_within_its_bounds(
    editor: Editor, scene: Image.Image, build_twin_mllm: Callable[..., Any], twin_preset: Callable[..., Any]
) -> None:
    preset = twin_preset("v1.2", "")
    able = Editor(preset, build_twin_mllm(preset, ""), editor.autoencoder, editor.model, editor.device, editor.dtype)
    answer = LocalThinker(able).ask("What is it?", [scene, scene], 3)
    assert isinstance(answer, str) and len(answer.encode()) <= 3 * 4
    assert answer == LocalThinker(able).ask("What is it?", [scene, scene], 3)


class Handler(BaseHTTPRequestHandler):
    plan: list[tuple[int, Any]]
    seen: list[tuple[str, str | None, dict[str, Any]]]

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers.get("Authorization"), body))
        code, answer = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server() -> Iterator[type[Handler]]:
    handler = type("One", (Handler,), {"plan": [], "seen": []})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{httpd.server_port}/v1"  # type: ignore[attr-defined]
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield handler
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def said(text: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_a_server_thinks(server: Any, scene: Image.Image) -> None:
    server.plan[:] = [(503, {}), (429, b"busy"), (200, said("ja"))]
    thinker = EndpointThinker(server.url, "some-model", key="secret", pause=0.01)
    assert thinker.ask("What?", [scene, scene.resize((3000, 1000))], 55) == "ja"
    assert len(server.seen) == 3
    path, key, body = server.seen[-1]
    assert (path, key, body["model"], body["max_tokens"]) == ("/v1/chat/completions", "Bearer secret", "some-model", 55)
    *pictures, text = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "What?"}
    shown = [Image.open(BytesIO(base64.b64decode(p["image_url"]["url"].removeprefix("data:image/png;base64,")))) for p in pictures]
    assert [p.size for p in shown] == [(300, 200), (1024, 341)] and shown[0].tobytes() == scene.tobytes()


@pytest.mark.parametrize(
    ("plan", "sentence", "questions"),
    [
        ([(401, {"error": {"message": "bad\nkey"}})], r"refused the question \(401 Unauthorized: bad key\)", 1),
        ([(500, b"")], "refused the question", 2),
        ([(200, b"<html>")], "something other than a chat completion", 1),
        ([(200, {"choices": []})], "something other than a chat completion", 1),
        ([(200, said(None))], "answered without words", 1),
    ],
)
def test_a_server_that_does_not(server: Any, scene: Image.Image, plan: list[Any], sentence: str, questions: int) -> None:
    server.plan[:] = plan
    with pytest.raises(Step1XError, match=sentence) as raised:
        EndpointThinker(server.url, "m", attempts=2, pause=0.01).ask("What?", [scene], 5)
    assert "\n" not in str(raised.value) and len(server.seen) == questions


def test_a_model_that_reasons_first_takes_other_fields(server: Any, scene: Image.Image) -> None:
    def refuse(name: str) -> tuple[int, dict[str, Any]]:
        return 400, {"error": {"message": f"Unsupported: {name}", "param": name, "code": "unsupported_parameter"}}

    server.plan[:] = [refuse("max_tokens"), refuse("temperature"), (200, said("ja"))]
    thinker = EndpointThinker(server.url, "m", attempts=1)
    assert [thinker.ask("What?", [scene], 5) for _ in range(2)] == ["ja", "ja"]
    kept = [{name for name in body if name not in ("model", "messages")} for _, _, body in server.seen]
    assert kept == [{"max_tokens", "temperature"}, {"temperature", "max_completion_tokens"}] + [{"max_completion_tokens"}] * 2
    assert server.seen[-1][2]["max_completion_tokens"] == 5
    server.plan[:] = [refuse("max_tokens")]
    with pytest.raises(Step1XError, match="400 Bad Request: Unsupported: max_tokens"):
        thinker.ask("What?", [scene], 5)


class Awkward(Handler):
    """Sends elsewhere, sends byte by byte, breaks off, or asks for patience, as its address says."""

    def do_GET(self) -> None:
        self.seen.append(("GET", self.headers.get("Authorization"), {}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, None, {}))
        kind = self.path.split("/")[1]
        self.send_response({"elsewhere": 302, "busy": 429}.get(kind, 200))
        for name, value in {"elsewhere": {"Location": "/other"}, "busy": {"Retry-After": "1"}}.get(kind, {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0" if kind in ("elsewhere", "busy") else "1000")
        self.end_headers()
        with suppress(OSError):  # the other side has given up
            for _ in range({"drips": 100}.get(kind, 0)):
                self.wfile.write(b" ")
                time.sleep(0.1)


@pytest.mark.parametrize(
    ("kind", "sentence", "attempts", "least", "most"),
    [
        ("elsewhere", r"refused the question \(302 Found\)", 1, 0, 10),
        ("drips", r"does not answer \(the answer takes too long\)", 1, 0.5, 8),
        ("breaks-off", r"does not answer \(IncompleteRead", 2, 0, 10),
        ("busy", "refused the question", 2, 1, 10),
    ],
)
def test_awkward_servers(scene: Image.Image, kind: str, sentence: str, attempts: int, least: float, most: float) -> None:
    handler = type("One", (Awkward,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        thinker = EndpointThinker(f"http://127.0.0.1:{httpd.server_port}/{kind}", "m", "secret", timeout=0.5, attempts=attempts, pause=0.01)
        began = time.monotonic()
        with pytest.raises(Step1XError, match=sentence):
            thinker.ask("What?", [scene], 5)
        assert least <= time.monotonic() - began <= most
        httpd.shutdown()
        thread.join()
    assert [path for path, _, _ in handler.seen] == [f"/{kind}/chat/completions"] * attempts  # type: ignore[attr-defined]


def test_no_server(scene: Image.Image) -> None:
    with pytest.raises(Step1XError, match="does not answer"):
        EndpointThinker("http://127.0.0.1:9", "m", attempts=1).ask("What?", [scene], 5)
    for address in ("localhost:8000", "file:///etc/passwd", "http://", "http://[::1"):
        with pytest.raises(UsageError, match="not the address of a server"):
            EndpointThinker(address, "m")
    for key in ("sk-secret\n", "sk-密钥"):
        with pytest.raises(UsageError, match="characters that no key has") as raised:
            EndpointThinker("http://127.0.0.1:9", "m", key)
        assert "sk-" not in str(raised.value)
