"""Asks a vision-language model about pictures, and keeps every answer, so that a build that was killed asks nothing twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from step1x_edit.data.recipe import Endpoint
from step1x_edit.data.storage import write_json
from step1x_edit.data.triplet import Pixels
from step1x_edit.endpoint import EndpointThinker
from step1x_edit.thinking import Thinker

ReadKey = Callable[[], str]
"""Reads the key of an endpoint where the work runs; empty for none. A function, so that no key is written down with a job."""


def no_key() -> str:
    """For endpoints that ask for none."""
    return ""


class Asker:
    """A thinker with a memory: the same question about the same pictures has the answer that it had the first time."""

    def __init__(self, thinker: Thinker, name: str, folder: Path) -> None:
        """Take answers from a folder and keep them there; `name` tells models apart."""
        self.thinker, self.name, self.folder = thinker, name, folder

    @classmethod
    def open(cls, endpoint: Endpoint, key: str, folder: Path) -> Asker:
        """Ask an OpenAI-compatible endpoint."""
        thinker = EndpointThinker(endpoint.url, endpoint.model, key, endpoint.timeout, endpoint.attempts)
        return cls(thinker, f"{endpoint.url} {endpoint.model}", folder)

    def ask(self, text: str, pictures: Sequence[Pixels], most_tokens: int) -> str:
        """The answer to `text` about `pictures`, uint8 [H, W, 3] each.

        Raises:
            Step1XError: the endpoint cannot be reached or refuses.
        """
        digest = hashlib.sha256(json.dumps([self.name, text, most_tokens]).encode())
        for picture in pictures:
            digest.update(picture.tobytes())
        name = digest.hexdigest()
        path = self.folder / name[:2] / f"{name}.json"
        if path.exists():
            return str(json.loads(path.read_text(encoding="utf-8"))["answer"])
        answer = self.thinker.ask(text, [Image.fromarray(picture) for picture in pictures], most_tokens)
        write_json(path, {"question": text, "answer": answer})
        return answer
