"""Gemini's image editing, through Google's own client."""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from typing import Any

from PIL import Image

from step1x_edit.bench.calls import Passing, Refused, Usage, hide_login
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.systems.openai_images import sort_out
from step1x_edit.bench.systems.system import Edited, Settings, decode, encode_png, name_folder
from step1x_edit.errors import Step1XError, UsageError

DEFAULT_MODEL = "gemini-2.5-flash-image"


class Gemini:
    """One `generateContent` with instruction and picture in, and a picture among the parts that come out."""

    concurrency = 4

    def __init__(self, settings: Settings) -> None:
        from google import genai
        from google.genai import types

        if not settings.key:
            raise UsageError("Gemini needs a key; set GEMINI_API_KEY.")
        options = types.HttpOptions(
            base_url=settings.url, timeout=round(settings.timeout * 1000), retry_options=types.HttpRetryOptions(attempts=1)
        )
        self.client = genai.Client(api_key=settings.key, http_options=options)
        weakref.finalize(self, self.client.close)  # its connections would stay open
        self.model = settings.model or DEFAULT_MODEL
        self.options = dict(settings.options)
        self.name = name_folder(self.model)
        self.facts: Mapping[str, Any] = {"model": self.model, "url": hide_login(settings.url or "Google"), "options": self.options}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """One call."""
        from google.genai import types

        parts = [types.Part.from_text(text=case.instruction), types.Part.from_bytes(data=encode_png(picture), mime_type="image/png")]
        values = {"response_modalities": ["TEXT", "IMAGE"], "seed": seed % 2**31, **self.options}
        try:
            config = types.GenerateContentConfig(**values)
        except ValueError as error:
            raise UsageError(f"Gemini's client does not take these options ({_first_fault(error)}); check --option.") from error
        answer = self._ask([types.Content(role="user", parts=parts)], config)
        count = answer.usage_metadata
        made = ((count.candidates_token_count or 0) + (count.thoughts_token_count or 0)) if count else 0  # thoughts are paid as answers are
        tokens = ((count and count.prompt_token_count) or 0, made)
        if answer.prompt_feedback and answer.prompt_feedback.block_reason:
            raise Refused(f"blocked: {_name(answer.prompt_feedback.block_reason)}", Usage(*tokens))
        said = []
        for candidate in answer.candidates or []:
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.thought:  # drafts, where --option asks for thoughts
                    continue
                if part.inline_data and part.inline_data.data:
                    used = Usage(*tokens, 1)
                    return Edited(decode(part.inline_data.data, "Gemini", used), used, answer.model_version or self.model)
                said.append(part.text or "")
            if candidate.finish_reason and _name(candidate.finish_reason) != "STOP":
                raise Refused(f"stopped: {_name(candidate.finish_reason)}", Usage(*tokens))
        reason = f"it answered in words alone: {' '.join(said)[:200]}" if any(said) else "the answer holds no picture"
        raise Refused(reason, Usage(*tokens))

    def _ask(self, contents: Any, config: Any) -> Any:
        import httpx
        import httpx2
        from google.genai import errors

        try:
            return self.client.models.generate_content(model=self.model, contents=contents, config=config)
        except errors.APIError as error:
            raise _sort_out(error) from error
        except (httpx.TimeoutException, httpx2.TimeoutException) as error:
            raise Passing("it took too long") from error
        except (httpx.HTTPError, httpx2.HTTPError) as error:
            raise Passing("Gemini is out of reach") from error
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:  # the client, on an answer of another form
            raise Passing("the answer cannot be read") from error


def _sort_out(error: Any) -> Step1XError:
    text = str(error.message or error)[:300]
    wait = re.search(r"'retryDelay': '([0-9.]+)s'", str(error.details))
    if error.code == 400 and "API key" in text:
        return Step1XError(f"Gemini refuses the key ({text}); check GEMINI_API_KEY.")
    if error.code == 400 and (error.status == "FAILED_PRECONDITION" or "modalities" in text):
        # in a country that it does not serve, or with a model of words alone
        return Step1XError(f"Gemini turns every case down ({text}); check the model, the account and --option.")
    return sort_out(error.code, "", text, wait[1] if wait else None, "Gemini")


def _first_fault(error: ValueError) -> str:
    """The option and what is wrong with it, out of the report of the client's checks."""
    return ": ".join(line.partition(" [")[0].strip() for line in str(error).splitlines()[1:3])


def _name(value: Any) -> str:
    return str(getattr(value, "value", value))
