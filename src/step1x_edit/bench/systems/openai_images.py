"""OpenAI's image editing (GPT-4o's images and later), and any service that speaks the same protocol."""

from __future__ import annotations

import base64
import time
import weakref
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PIL import Image

from step1x_edit.bench.calls import Passing, Refused, Usage, dig, hide_login, leave_out, read_count
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.systems.system import Edited, Settings, decode, encode_png, name_folder
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.patience import read_retry_after

if TYPE_CHECKING:
    import openai

DEFAULT_MODEL = "gpt-image-1"
_PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 529)
FETCH_PAUSES = (1.0, 3.0)
"""Seconds before a picture is asked for a second and a third time."""
_OUT_OF_MONEY = ("insufficient_quota", "billing_hard_limit_reached")
_WRONG_SETTING = ("unsupported_parameter", "unsupported_value", "unknown_parameter", "missing_required_parameter")


class OpenAIImages:
    """POST images/edits, through OpenAI's own client; its retries are off, since `bench.calls` makes them."""

    concurrency = 4

    def __init__(self, settings: Settings, default_model: str) -> None:
        self.client, self.timeout = open_client(settings.url, settings.key, settings.timeout), settings.timeout
        self.place = hide_login(str(self.client.base_url))
        self.model = settings.model or default_model
        self.options = leave_out(settings.options)
        self.name = name_folder(self.model)
        self.facts: Mapping[str, Any] = {"model": self.model, "url": self.place, "options": self.options}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """One call. The protocol has no seed."""
        with explain(self.place, self.options):
            raw = self.client.images.with_raw_response.edit(
                model=self.model, image=("source.png", encode_png(picture), "image/png"), prompt=case.instruction, extra_body=self.options
            )
            answer = raw.http_response.json()
        if not isinstance(answer, dict):
            raise Passing("the answer cannot be read")
        text, address = dig(answer, "data", 0, "b64_json"), dig(answer, "data", 0, "url")
        given, made = (read_count(dig(answer, "usage", count)) for count in ("input_tokens", "output_tokens"))
        if not (text or address):
            raise Refused("the answer holds no picture", Usage(given, made))
        used = Usage(given, made, 1)
        data = unpack(str(text), used) if text else fetch(str(address), self.timeout, used)
        return Edited(decode(data, "the service", used), used, str(answer.get("model") or self.model))


def open_client(url: str | None, key: str | None, timeout: float) -> openai.OpenAI:
    """A client without retries of its own, whose connections are closed when nobody needs it any more.

    Raises:
        UsageError: there is no key for OpenAI itself.
    """
    import openai

    if key is None and url is None:
        raise UsageError("OpenAI needs a key; set OPENAI_API_KEY, or give the --url of another service.")
    connections = openai.DefaultHttpxClient()
    client = openai.OpenAI(api_key=key or "none", base_url=url, timeout=timeout, max_retries=0, http_client=connections)
    weakref.finalize(client, connections.close)
    return client


@contextmanager
def explain(service: str, options: Container[str | None] = ()) -> Iterator[None]:
    """The client's errors as those of `bench.calls`; what a service says of one of the call's `options` concerns all calls."""
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise Passing("it took too long") from error
    except openai.APIConnectionError as error:
        raise Passing(f"{service} is out of reach") from error
    except openai.APIStatusError as error:
        if error.status_code in (400, 422) and (error.code in _WRONG_SETTING or error.param in options):
            raise Step1XError(
                f"{service} does not take a setting of this call ({_message(error)}); give another with --option NAME=VALUE, "
                "or leave one of ours out with --option NAME=null."
            ) from error
        raise sort_out(
            error.status_code, str(error.code or ""), _message(error), error.response.headers.get("retry-after"), service
        ) from error
    except (openai.APIError, ValueError, RecursionError) as error:  # the latter two for what claims to be JSON and is not, or is endless
        raise Passing(f"the answer of {service} cannot be read") from error


def sort_out(status: int, code: str, message: str, retry_after: str | None, service: str) -> Step1XError:
    """What an HTTP status means for the run."""
    if code in _OUT_OF_MONEY or status == 402:
        return Step1XError(f"{service} says that the account's money is used up ({message}).")
    if status in _PASSING or status >= 500:
        return Passing(f"status {status}", read_retry_after(retry_after))
    if status in (401, 403, 404, 405):
        return Step1XError(f"{service} answered with status {status} ({message}); check the key, the model and the address.")
    return Refused(message or f"status {status}")


def fetch(url: str, timeout: float, used: Usage) -> bytes:
    """The picture at an address that a service named, and is paid for: asked for a few times, since a new picture would cost again.

    Raises:
        Refused: it is not to be had.
    """
    import httpx

    problem = ""
    for pause in (*FETCH_PAUSES, None):
        try:
            answer = httpx.get(url, timeout=timeout, follow_redirects=True)
        except httpx.InvalidURL:
            raise Refused("the picture's address is none", used) from None
        except httpx.HTTPError:
            problem = "is out of reach"
        else:
            if answer.status_code == 200:
                return answer.content
            problem = f"answered with status {answer.status_code}"
            if answer.status_code not in _PASSING and answer.status_code < 500:
                break
        if pause is not None:
            time.sleep(pause)
    raise Refused(f"the picture's address {problem}", used)


def _message(error: openai.APIStatusError) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message)[:300]


def unpack(text: str, used: Usage) -> bytes:
    """What a service sent in base64, and is paid for; raises Refused where it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Refused("the answer holds no whole picture", used) from error


def openai_images(settings: Settings) -> OpenAIImages:
    """OpenAI itself."""
    return OpenAIImages(settings, DEFAULT_MODEL)


def endpoint(settings: Settings) -> OpenAIImages:
    """Any service with the protocol's images/edits."""
    if not settings.url:
        raise UsageError("The system endpoint needs the service's address; give --url, ending in /v1 with most services.")
    return OpenAIImages(settings, "default")
