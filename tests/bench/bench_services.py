"""A server that speaks the protocols of the hosted systems and judges, and misbehaves on request."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image


@dataclass
class Service:
    """What the server was asked, and what it shall answer.

    Attributes:
        script: how the next calls go, one word each, or "raw:" and the answer itself; "ok" once it is used up.
        calls: every call: route, form or body, headers, and when.
        answer: what the judge says; takes the request's body.
    """

    script: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    answer: Any = None
    url: str = ""
    at_once: int = 0
    most_at_once: int = 0
    delay: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, route: str, body: Any, headers: dict[str, str]) -> str:
        with self.lock:
            self.calls.append({"route": route, "body": body, "headers": headers, "when": time.monotonic()})
            return self.script.pop(0) if self.script else "ok"


def negative(data: bytes) -> bytes:
    picture = Image.open(BytesIO(data)).convert("RGB").point(lambda v: 255 - v)
    out = BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def make_app(service: Service) -> FastAPI:
    app = FastAPI()

    def fail(word: str, wrap: Any) -> Response | None:
        """Answers that have the same status with every service; `wrap` makes the body."""
        if word == "429":
            return JSONResponse(wrap("rate_limit_exceeded", "slow down"), 429)
        if word == "429-after":
            return JSONResponse(wrap("rate_limit_exceeded", "slow down"), 429, {"Retry-After": "1"})
        if word in ("500", "503"):
            return JSONResponse(wrap("server_error", "try later"), int(word))
        if word == "401":
            return JSONResponse(wrap("invalid_api_key", "who are you"), 401)
        if word.startswith("option:"):
            _, name, code = word.split(":")
            error = {"message": f"'{name}' will not do.", "type": "invalid_request_error", "param": name, "code": code}
            return JSONResponse({"error": error}, 400)
        if word.startswith("raw:"):
            return Response(word.removeprefix("raw:"), media_type="application/json")
        if word == "402":
            return JSONResponse(wrap("402", "Insufficient credits"), 402)
        if word == "quota":
            return JSONResponse(wrap("insufficient_quota", "pay first"), 429)
        if word == "garbage":
            return Response("<html>gateway</html>", 200, media_type="application/json")
        return None

    def openai_error(code: str, message: str) -> dict[str, Any]:
        return {"error": {"message": message, "type": "error", "param": None, "code": code}}

    @app.post("/v1/images/edits")
    async def edits(request: Request) -> Response:
        async with request.form() as form:
            data = await form["image"].read()
            fields = {key: value for key, value in form.items() if isinstance(value, str)}
        word = service.next("edits", fields, dict(request.headers))
        await _pause(service, word)
        if found := fail("" if word == "slow" else word, openai_error):
            return found
        if word == "refuse":
            return JSONResponse(openai_error("moderation_blocked", "Your request was rejected by the safety system."), 400)
        if word == "nopicture":
            return JSONResponse({"created": 1, "data": []})
        if word == "url":
            return JSONResponse({"created": 1, "data": [{"url": f"{service.url}/file.png"}]})
        if word == "broken":
            return JSONResponse({"created": 1, "data": [{"b64_json": base64.b64encode(negative(data)[:60]).decode()}]})
        usage = {
            "input_tokens": 200,
            "output_tokens": 1000,
            "total_tokens": 1200,
            "input_tokens_details": {"image_tokens": 190, "text_tokens": 10},
        }
        return JSONResponse({"created": 1, "data": [{"b64_json": base64.b64encode(negative(data)).decode()}], "usage": usage})

    @app.get("/file.png")
    def file() -> Response:
        out = BytesIO()
        Image.new("RGB", (20, 10), "green").save(out, "PNG")
        return Response(out.getvalue(), media_type="image/png")

    @app.post("/v1beta/models/{call:path}")
    @app.post("/v1/models/{call:path}")
    async def gemini(call: str, request: Request) -> Response:
        body = await request.json()
        word = service.next(call, body, dict(request.headers))
        await _pause(service, word)

        def wrap(code: str, message: str) -> dict[str, Any]:
            details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}] if word == "429-after" else []
            if word.startswith("no:"):
                return {"error": {"code": 400, "message": word.removeprefix("no:"), "status": code, "details": []}}
            return {"error": {"code": 429, "message": message, "status": code.upper(), "details": details}}

        if found := fail("" if word == "slow" else word, wrap):
            return found
        if word.startswith("no:"):
            return JSONResponse(wrap("FAILED_PRECONDITION" if "location" in word else "INVALID_ARGUMENT", ""), 400)
        if word == "refuse":
            return JSONResponse({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
        if word == "stopped":
            return JSONResponse({"candidates": [{"finishReason": "IMAGE_SAFETY", "index": 0}]})
        parts: list[dict[str, Any]] = [{"text": "I would rather not."}]
        if word != "nopicture":
            sent = next(part["inlineData"]["data"] for part in body["contents"][0]["parts"] if "inlineData" in part)
            sent = base64.b64decode(sent.replace("-", "+").replace("_", "/"))
            parts = [{"text": "Here it is."}, {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(negative(sent)).decode()}}]
        usage = {"promptTokenCount": 260, "candidatesTokenCount": 1290, "totalTokenCount": 1550}
        if word == "thinking":
            draft = {"mimeType": "image/png", "data": base64.b64encode(sent).decode()}
            parts = [{"text": "A sketch.", "thought": True}, {"inlineData": draft, "thought": True}, *parts]
            usage["thoughtsTokenCount"] = 710
        answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
        return JSONResponse({**answer, "modelVersion": "gemini-x-001"})

    @app.post("/api/v3/images/generations")
    async def ark(request: Request) -> Response:
        body = await request.json()
        word = service.next("ark", body, dict(request.headers))
        await _pause(service, word)
        if found := fail("" if word == "slow" else word, lambda code, message: {"error": {"code": code, "message": message, "type": "e"}}):
            return found
        if word == "refuse":
            return JSONResponse({"error": {"code": "InputImageSensitiveContentDetected", "message": "sensitive"}}, 400)
        if word.startswith("param:"):
            error = {"code": "InvalidParameter", "message": "is not valid", "param": word.removeprefix("param:"), "type": "BadRequest"}
            return JSONResponse({"error": error}, 400)
        if word == "quota-ark":
            return JSONResponse({"error": {"code": "AccountOverdueError", "message": "overdue"}}, 403)
        sent = base64.b64decode(body["image"].partition(",")[2])
        picture = {} if word == "nopicture" else {"b64_json": base64.b64encode(negative(sent)).decode()}
        usage = {"generated_images": 1, "output_tokens": 5000, "total_tokens": 5000}
        return JSONResponse({"model": "seededit-dated", "created": 1, "data": [picture], "usage": usage})

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await request.json()
        word = service.next("chat", body, dict(request.headers))
        await _pause(service, word)
        if found := fail("" if word == "slow" else word, openai_error):
            return found
        message: dict[str, Any] = {
            "role": "assistant",
            "content": service.answer(body) if service.answer else json.dumps({"score": [8, 7]}),
        }
        finish = "stop"
        if word == "refuse":
            message |= {"content": None, "refusal": "I cannot help with that."}
        elif word == "filter":
            message, finish = {"role": "assistant", "content": ""}, "content_filter"
        elif word == "words":
            message["content"] = "A lovely picture, nine out of ten."
        usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
        choice = {"index": 0, "finish_reason": finish, "message": message}
        return JSONResponse(
            {"id": "c", "object": "chat.completion", "created": 1, "model": "judge-2026-11-01", "choices": [choice], "usage": usage}
        )

    return app


async def _pause(service: Service, word: str) -> None:
    import asyncio

    service.at_once += 1
    service.most_at_once = max(service.most_at_once, service.at_once)
    try:
        await asyncio.sleep(2 if word == "slow" else service.delay)
    finally:
        service.at_once -= 1


@contextmanager
def serve(service: Service) -> Iterator[Service]:
    """Run the server on a free port, in a thread of its own."""
    config = uvicorn.Config(make_app(service), host="127.0.0.1", port=0, log_level="error", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.should_exit = True
        thread.join(5)
