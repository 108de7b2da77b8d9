"""A judge behind an OpenAI-compatible endpoint: GPT-4.1 at OpenAI, Qwen2.5-VL-72B on vLLM, and others."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from step1x_edit.bench.calls import Passing, Refused, Usage, dig, hide_login, leave_out, read_count
from step1x_edit.bench.judges.judge import Question, Reply
from step1x_edit.bench.systems.openai_images import explain, open_client
from step1x_edit.bench.systems.system import name_folder

LONGEST_ANSWER = 1400


class ChatJudge:
    """POST chat/completions with the pictures as data URLs, through OpenAI's own client; temperature 0.

    An option that is None is left out: newer models take neither `temperature` nor `max_tokens`.
    """

    concurrency = 8

    def __init__(self, model: str, url: str | None, key: str | None, timeout: float, options: Mapping[str, Any]) -> None:
        self.client = open_client(url, key, timeout)
        self.place = hide_login(str(self.client.base_url))
        self.model = model
        self.options = leave_out({"temperature": 0, "max_tokens": LONGEST_ANSWER, **options})
        self.name = name_folder(model)
        self.facts: Mapping[str, Any] = {"model": model, "url": self.place, "options": self.options}

    def ask(self, question: Question, repeat: int) -> Reply:
        """One call."""
        content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
        for picture in question.pictures:
            url = f"data:image/{_name_format(picture)};base64,{base64.b64encode(picture).decode()}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        messages: Any = [{"role": "user", "content": content}]
        with explain(self.place, self.options):
            raw = self.client.chat.completions.with_raw_response.create(model=self.model, messages=messages, extra_body=self.options)
            answer = raw.http_response.json()
        message = dig(answer, "choices", 0, "message")
        if not isinstance(message, dict):
            raise Passing("the answer cannot be read")
        used = Usage(*(read_count(dig(answer, "usage", count)) for count in ("prompt_tokens", "completion_tokens")))
        if refusal := message.get("refusal"):
            raise Refused(f"the judge refused: {str(refusal)[:200]}", used)
        if dig(answer, "choices", 0, "finish_reason") == "content_filter":
            raise Refused("the judge's answer was filtered", used)
        return Reply(_read_content(message.get("content")), used, str(answer.get("model") or self.model))


def _name_format(picture: bytes) -> str:
    """What a file is, by its first bytes: results of other tools may be JPEG or WebP, and services refuse what is called another."""
    if picture.startswith(b"\xff\xd8"):
        return "jpeg"
    return "webp" if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" else "png"


def _read_content(content: Any) -> str:
    """What the judge said: a text, or with some services a list of parts that are texts."""
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = (dig(part, "text") for part in parts)
    return "".join(text for text in texts if isinstance(text, str))
