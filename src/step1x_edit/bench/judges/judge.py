"""What every judge provides: one method that answers one question about pictures, in words. `judges.parsing` reads the words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from step1x_edit.bench.calls import Usage


@dataclass(frozen=True)
class Question:
    """A text, and the pictures that it speaks of, in this order, as files of a common format."""

    text: str
    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class Reply:
    """What the judge said, what it used, and the exact name of the model where the service tells."""

    text: str
    usage: Usage = field(default_factory=Usage)
    model: str = ""


class Judge(Protocol):
    """A vision-language model that judges.

    Attributes:
        name: of the folder that its scores lie in.
        concurrency: how many questions it takes at once, unless the user says otherwise.
        facts: what is needed to ask it again, no keys among it; part of what a cached answer is found by.
    """

    name: str
    concurrency: int
    facts: Mapping[str, Any]

    def ask(self, question: Question, repeat: int) -> Reply:
        """Ask once; `repeat` tells apart questions that are asked several times.

        Raises:
            Refused: it will not answer this question.
            Passing: it did not answer this time.
            Step1XError: it answers no question.
        """
        ...
