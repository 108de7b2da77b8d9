"""A judge in this process: Qwen-VL or another model, which the command line opens and passes in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from PIL import Image

from step1x_edit.bench.calls import Usage
from step1x_edit.bench.judges.judge import Question, Reply
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

MOST_TOKENS = 512


class Speaker(Protocol):
    """A vision-language model that answers in words."""

    def speak(self, pictures: Sequence[Image.Image], text: str, most_tokens: int) -> tuple[str, int, int]:
        """Returns the answer, and how many tokens went in and came out."""
        ...


class LocalJudge:
    """Greedy answers, one at a time: repeats of one question are the same, so they say nothing of noise."""

    concurrency = 1

    def __init__(self, name: str, speaker: Speaker, facts: Mapping[str, Any]) -> None:
        self.name = name
        self.speaker = speaker
        self.facts: Mapping[str, Any] = {**facts, "most_tokens": MOST_TOKENS}

    def ask(self, question: Question, repeat: int) -> Reply:
        """One answer; raises ImageError where a picture is damaged."""
        pictures = [flatten(read_image(data).image) for data in question.pictures]
        text, given, made = self.speaker.speak(pictures, question.text, MOST_TOKENS)
        return Reply(text, Usage(given, made), self.name)
