"""A thinker behind HTTP: any server that speaks OpenAI's chat completions, pictures included."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.patience import read_retry_after

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_SIDE, LARGEST_ANSWER, LARGEST_ERROR = 1024, 1_000_000, 10_000
TRANSIENT = (408, 429, 500, 502, 503, 504)

LONGEST_PAUSE = 60.0
"""Seconds that are waited at most where the server says how long to wait."""

_OTHERWISE = {"max_tokens": "max_completion_tokens", "temperature": None}
"""Fields that OpenAI's models which reason first refuse, and under which name they take them, if at all."""


@dataclass(frozen=True)
class EndpointThinker:
    """Asks POST {url}/chat/completions.

    Attributes:
        url: of the server's API, as http://localhost:8000/v1.
        model: name of the model there.
        key: sent as bearer token; empty for none.
        timeout: seconds for one answer, from its first byte to its last too.
        attempts: how often a question is sent where the server is busy or does not answer.
        pause: seconds before the second attempt, twice as long before each further one.
    """

    url: str
    model: str
    key: str = ""
    timeout: float = 120.0
    attempts: int = 3
    pause: float = 1.0
    _refused: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

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
        answer = self._post(body)
        try:
            said = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Step1XError(f"The server at {self.url} answered with something other than a chat completion.") from error
        if not isinstance(said, str):
            raise Step1XError(f"The server at {self.url} answered without words.")
        return said

    def _post(self, body: dict[str, Any]) -> bytes:
        opener = urllib.request.build_opener(_Stay)
        attempt = 1
        while True:
            try:
                return self._send(opener, _fit(body, self._refused))
            except urllib.error.HTTPError as error:
                said = self._read_error(error)
                wait = read_retry_after(error.headers.get("Retry-After"))
                error.close()
                if error.code == 400 and (field := said.get("param")) in _OTHERWISE and field not in self._refused:
                    self._refused.add(field)
                    continue
                if error.code not in TRANSIENT or attempt >= self.attempts:
                    detail = f": {' '.join(str(said['message']).split())[:200]}" if said.get("message") else ""
                    raise Step1XError(f"The server at {self.url} refused the question ({error.code} {error.reason}{detail}).") from error
            except (OSError, http.client.HTTPException) as error:
                if attempt >= self.attempts:
                    why = getattr(error, "reason", None) or error
                    raise Step1XError(f"The server at {self.url} does not answer ({why}); is it running?") from error
                wait = None
            time.sleep(max(self.pause * 2 ** (attempt - 1), min(wait or 0.0, LONGEST_PAUSE)))
            attempt += 1

    def _send(self, opener: urllib.request.OpenerDirector, body: Mapping[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self.key}"} if self.key else {})}
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
        end = time.monotonic() + self.timeout
        with opener.open(request, timeout=self.timeout) as response:
            return _read(response, LARGEST_ANSWER, end)

    def _read_error(self, error: urllib.error.HTTPError) -> dict[str, Any]:
        """What the server says itself: OpenAI's record of an error, or nothing."""
        try:
            said = json.loads(_read(error, LARGEST_ERROR, time.monotonic() + self.timeout))["error"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return {}
        return said if isinstance(said, dict) else {}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the key would go along, and the question would not."""

    def redirect_request(self, *_: Any) -> None:
        """None: the redirect is the answer."""


def _read(response: Any, most: int, end: float) -> bytes:
    """Up to so many bytes of an answer; raises TimeoutError after `end`, which a server that sends byte by byte would put off for ever."""
    content = b""
    while len(content) < most and (piece := response.read1(most - len(content))):
        content += piece
        if time.monotonic() > end:
            raise TimeoutError("the answer takes too long")
    if len(content) < most and response.length:
        raise http.client.IncompleteRead(content, response.length)
    return content


def _fit(body: Mapping[str, Any], refused: Collection[str]) -> dict[str, Any]:
    """The question without the fields that the server does not take."""
    fitting = {name: value for name, value in body.items() if name not in refused}
    return fitting | {other: body[name] for name in refused if (other := _OTHERWISE[name])}


def _data_url(image: Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    content = BytesIO()
    small.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
