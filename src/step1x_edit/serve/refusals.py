"""What a client is told when there is no picture: a status, and OpenAI's record of an error."""

from __future__ import annotations

from typing import Any

from step1x_edit.errors import ImageError, Step1XError

LEFT = 499
"""The status that is noted where the client did not wait for an answer."""

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 503: "server_error"}


class Refusal(Step1XError):
    """An answer other than 200.

    Args:
        sentence: what was wrong and what to do.
        status: of HTTP.
        code: short and stable, for programs.
        param: the field at fault.
        retry_after: seconds after which to try again.
    """

    def __init__(
        self, sentence: str, status: int = 400, code: str = "invalid_value", param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(sentence)
        self.http_status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after


class Busy(Refusal):
    """Too many are waiting."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            "Too many requests are waiting; try again in a little while.", 429, "rate_limit_exceeded", None, min(60.0, max(1.0, seconds))
        )


class Stopping(Refusal):
    """The server is about to end."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; try again in a little while.", 503, "shutting_down", None, 5.0)


def code_of(error: Step1XError) -> str:
    """OpenAI's code for what went wrong."""
    match error:
        case Refusal():
            return error.code
        case ImageError():
            return "invalid_image"
    return "invalid_value" if error.http_status < 500 else "edit_failed"


def describe(sentence: str, status: int, code: str | None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's record of an error."""
    kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code}}
