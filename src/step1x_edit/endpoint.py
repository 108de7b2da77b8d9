"""A thinker behind HTTP: any server that speaks OpenAI's chat completions, pictures included."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from step1x_edit.errors import Step1XError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE, LARGEST_ANSWER = 1024, 1_000_000
TRANSIENT = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class EndpointThinker:
    """Asks POST {url}/chat/completions.

    Attributes:
        url: of the server's API, as http://localhost:8000/v1.
        model: name of the model there.
        key: sent as bearer token; empty for none.
        timeout: seconds for one answer.
        attempts: how often a question is sent where the server is busy or does not answer.
        pause: seconds before the second attempt, twice as long before each further one.
    """

    url: str
    model: str
    key: str = ""
    timeout: float = 120.0
    attempts: int = 3
    pause: float = 1.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:  # brackets that do not hold an address
            known = False
        if not known:
            raise UsageError(f"{self.url!r} is not the address of a server; give one as http://localhost:8000/v1.")
        if not (self.key.isascii() and (self.key.isprintable() or not self.key)):
            raise UsageError("The key of the server holds characters that no key has; check where it is read from.")

    def ask(self, text: str, images: Sequence[Image], most_tokens: int) -> str:
        """See `thinking.Thinker.ask`."""
        pictures = [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
        message = {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}
        body = {"model": self.model, "messages": [message], "max_tokens": most_tokens, "temperature": 0}
        answer = self._post(json.dumps(body).encode())
        try:
            said = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Step1XError(f"The server at {self.url} answered with something other than a chat completion.") from error
        if not isinstance(said, str):
            raise Step1XError(f"The server at {self.url} answered without words.")
        return said

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        for attempt in range(1, self.attempts + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout) as response:
                    content: bytes = response.read(LARGEST_ANSWER)
                    return content
            except urllib.error.HTTPError as error:
                reason = f"{error.code} {error.reason}{_detail(error)}"
                error.close()
                if error.code not in TRANSIENT or attempt == self.attempts:
                    raise Step1XError(f"The server at {self.url} refused the question ({reason}).") from error
            except (OSError, http.client.HTTPException) as error:
                if attempt == self.attempts:
                    why = getattr(error, "reason", None) or error
                    raise Step1XError(f"The server at {self.url} does not answer ({why}); is it running?") from error
            time.sleep(self.pause * 2 ** (attempt - 1))
        raise UsageError("A question must be sent at least once.")


def _data_url(image: Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    content = BytesIO()
    small.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _detail(error: urllib.error.HTTPError) -> str:
    """What the server says itself, in its JSON, cut short."""
    try:
        said: Any = json.loads(error.read(10_000))
        text = said["error"]["message"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f": {' '.join(str(text).split())[:200]}"
