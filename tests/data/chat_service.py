"""A server on this machine that speaks OpenAI's chat completions; a function of the test's says what the model answers."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

from PIL import Image


@dataclass
class ChatService:
    """What was asked, and with which key; `answer` gets the text and the pictures."""

    answer: Callable[[str, list[Image.Image]], str]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)


@contextmanager
def serve_chat(answer: Callable[[str, list[Image.Image]], str]) -> Iterator[ChatService]:
    service = ChatService(answer)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            parts = body["messages"][-1]["content"]
            parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts
            pictures = [_open(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
            text = " ".join(part["text"] for part in parts if part["type"] == "text")
            service.asked.append(text)
            service.keys.add(self.headers.get("Authorization", "").removeprefix("Bearer "))
            found: dict[str, Any] = {
                "id": f"chatcmpl-{len(service.asked)}",
                "object": "chat.completion",
                "created": 0,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "logprobs": None,
                        "message": {"role": "assistant", "content": service.answer(text, pictures), "refusal": None},
                    }
                ],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
            content = json.dumps(found).encode()
            self.send_response(200 if self.path == "/v1/chat/completions" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _open(url: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))
