"""A judge behind an OpenAI-compatible endpoint: GPT-4.1 at OpenAI, Qwen2.5-VL-72B on vLLM, and others."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from step1x_edit.bench.calls import Passing, Refused, Usage
from step1x_edit.bench.judges.judge import Question, Reply
from step1x_edit.bench.systems.openai_images import explain, open_client
from step1x_edit.bench.systems.system import name_folder

LONGEST_ANSWER = 1400


class ChatJudge:
    """POST chat/completions with the pictures as data URLs, through OpenAI's own client; temperature 0."""

    concurrency = 8

    def __init__(self, model: str, url: str | None, key: str | None, timeout: float, options: Mapping[str, Any]) -> None:
        self.client = open_client(url, key, timeout)
        self.model = model
        self.options = {"temperature": 0, "max_tokens": LONGEST_ANSWER, **options}
        self.name = name_folder(model)
        self.facts: Mapping[str, Any] = {"model": model, "url": str(self.client.base_url), "options": self.options}

    def ask(self, question: Question, repeat: int) -> Reply:
        """One call."""
        content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
        for picture in question.pictures:
            url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        messages: Any = [{"role": "user", "content": content}]
        with explain(str(self.client.base_url)):
            answer = self.client.chat.completions.create(model=self.model, messages=messages, extra_body=self.options)
        if isinstance(answer, str) or not answer.choices:
            raise Passing("the answer cannot be read")
        choice, usage = answer.choices[0], answer.usage
        if choice.message.refusal:
            raise Refused(f"the judge refused: {choice.message.refusal[:200]}")
        if choice.finish_reason == "content_filter":
            raise Refused("the judge's answer was filtered")
        used = Usage(usage.prompt_tokens, usage.completion_tokens) if usage else Usage()
        return Reply(choice.message.content or "", used, answer.model or self.model)
