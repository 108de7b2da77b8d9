"""Doubao SeedEdit on Volcano Engine's Ark: POST images/generations with the picture as a data URL.

Choice: plain HTTP. Ark's own SDK brings some hundred unrelated services along.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from PIL import Image

from step1x_edit.bench.calls import Passing, Refused, Usage, dig, hide_login, leave_out, read_count
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.systems.openai_images import fetch, sort_out, unpack
from step1x_edit.bench.systems.system import Edited, Settings, decode, encode_png, name_folder
from step1x_edit.errors import Step1XError, UsageError

DEFAULT_MODEL = "doubao-seededit-3-0-i2i-250628"
DEFAULT_URL = "https://ark.cn-beijing.volces.com/api/v3"
_SENSITIVE = "sensitive"  # part of the code with which Ark refuses pictures and texts
_OUT_OF_MONEY = ("AccountOverdueError", "QuotaExceeded")


class SeedEdit:
    """One call a case."""

    concurrency = 4

    def __init__(self, settings: Settings) -> None:
        if not settings.key:
            raise UsageError("SeedEdit needs a key; set ARK_API_KEY.")
        self.model = settings.model or DEFAULT_MODEL
        self.url = (settings.url or DEFAULT_URL).rstrip("/")
        self.key = settings.key
        self.timeout = settings.timeout
        self.options = dict(settings.options)
        self.name = name_folder(self.model)
        self.facts: Mapping[str, Any] = {"model": self.model, "url": hide_login(self.url), "options": self.options}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """One call; the result keeps the picture's shape."""
        body = {
            "model": self.model,
            "prompt": case.instruction,
            "image": f"data:image/png;base64,{base64.b64encode(encode_png(picture)).decode()}",
            "response_format": "b64_json",
            "size": "adaptive",
            "seed": seed % 2**31,
            "watermark": False,
            **self.options,
        }
        answer = self._post(leave_out(body))
        found = dig(answer, "data", 0)
        tokens, pictures = (read_count(dig(answer, "usage", count)) for count in ("output_tokens", "generated_images"))
        if error := dig(found, "error") or answer.get("error"):
            raise Refused(str(dig(error, "message") or error)[:300], Usage(0, tokens, pictures))
        used = Usage(0, tokens, pictures or 1)
        model = str(answer.get("model") or self.model)
        if text := dig(found, "b64_json"):
            return Edited(decode(unpack(str(text), used), "SeedEdit", used), used, model)
        if address := dig(found, "url"):
            return Edited(decode(fetch(str(address), self.timeout, used), "SeedEdit", used), used, model)
        raise Refused("the answer holds no picture", Usage(0, tokens, pictures))

    def _post(self, body: Mapping[str, Any]) -> dict[str, Any]:
        import httpx

        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            answer = httpx.post(f"{self.url}/images/generations", json=body, headers=headers, timeout=self.timeout)
        except httpx.TimeoutException as error:
            raise Passing("it took too long") from error
        except httpx.HTTPError as error:
            raise Passing("SeedEdit is out of reach") from error
        try:
            content = answer.json()
        except (ValueError, RecursionError):
            content = {}
        content = content if isinstance(content, dict) else {}
        if answer.status_code == 200:
            if not content:
                raise Passing("the answer cannot be read")
            return content
        code, message = (str(dig(content, "error", key) or "") for key in ("code", "message"))
        message = message[:300]
        if code in _OUT_OF_MONEY:
            raise Step1XError(f"SeedEdit says that the account's money is used up ({message}).")
        if _SENSITIVE in code.lower():
            raise Refused(message or code)
        if answer.status_code == 400 and (name := str(dig(content, "error", "param"))) in body and name not in ("prompt", "image"):
            raise Step1XError(
                f"SeedEdit does not take a setting of this call ({message}); give another with --option {name}=VALUE, or leave it out with "
                f"--option {name}=null."
            )
        raise sort_out(answer.status_code, code, message, answer.headers.get("retry-after"), "SeedEdit")
