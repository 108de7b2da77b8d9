"""From the bytes of a request to its fields and files, in memory, within limits of size, number and time."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from step1x_edit.serve.limits import Limits
from step1x_edit.serve.metrics import Metrics
from step1x_edit.serve.refusals import Busy, Refusal

MOST_FILES = 32
"""Files of a form; how many of them the model takes is said later, in words."""
MOST_FIELDS = 64
LONGEST_FIELD = 1024 * 1024
"""Characters of a text field; what an instruction may have is said later, in words."""

Take = Callable[[int], None]
"""Takes room in memory for so many bytes, or raises `Busy`; of a negative number, gives it back."""


@dataclass(frozen=True)
class Upload:
    """What a request holds: values by name (texts, where it is a form), and the bytes of files by the name of their field."""

    values: Mapping[str, Any]
    files: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)


class _InMemory(MultiPartParser):
    """Never writes to the disk, as its base does with large files; the limit on the whole request bounds the memory."""

    spool_max_size = 1 << 40


class Budget:
    """Bounds the bytes of all requests in memory together.

    Args:
        limits: of the server.
        metrics: where to count.
        each: bytes that one owner's requests may have of them.
    """

    def __init__(self, limits: Limits, metrics: Metrics, each: int) -> None:
        self._limits = limits
        self._metrics = metrics
        self._each = each
        self._held = 0
        self._by_owner: Counter[str] = Counter()

    @asynccontextmanager
    async def hold(self, request: Request, owner: str) -> AsyncIterator[Take]:
        """Room for one request while it is here; yields what takes more of it.

        Raises:
            Busy: there is none.
            Refusal: it says itself that it is too large.
        """
        size = _declare(request, self._limits)
        if size > self._limits.bytes:
            raise _too_large(self._limits)
        taken = 0

        def take(more: int) -> None:
            nonlocal taken
            if self._held + more > self._limits.held_bytes or self._by_owner[owner] + more > self._each:
                raise Busy(5.0)
            taken += more
            count(more)

        def count(change: int) -> None:
            self._held += change
            self._by_owner[owner] += change
            if not self._by_owner[owner]:
                del self._by_owner[owner]
            self._metrics.held.set(self._held)

        take(size)
        try:
            yield take
        finally:
            count(-taken)


async def read_upload(request: Request, limits: Limits, take: Take) -> Upload:
    """Read a form with files, or JSON; `take` gets back what `Budget.hold` took for more than arrives.

    Raises:
        Refusal: it is neither, is malformed, too large, has too many parts, or takes too long.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/json"):
        raise Refusal("Send a form (multipart/form-data) or JSON (application/json).", 415, "unsupported_media_type")
    try:
        async with asyncio.timeout(limits.upload_seconds):
            body = _bounded(request, limits, take)
            return await (_read_form(request, body) if kind == "multipart/form-data" else _read_json(body))
    except TimeoutError as error:
        sentence = f"The request did not arrive within {limits.upload_seconds:g} seconds; send smaller files or use a faster line."
        raise Refusal(sentence, 408, "upload_too_slow") from error


def _declare(request: Request, limits: Limits) -> int:
    """Bytes that the request says it has; where it does not say, the most that it may have."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 19 else limits.bytes


async def _bounded(request: Request, limits: Limits, take: Take) -> AsyncGenerator[bytes, None]:
    """What arrives, until it is too much; a request need not say its length."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limits.bytes:
            raise _too_large(limits)
        yield chunk
    take(size - _declare(request, limits))


def _too_large(limits: Limits) -> Refusal:
    return Refusal(f"The request has more than {limits.bytes // 2**20} MiB; send smaller files.", 413, "request_too_large")


async def _read_json(body: AsyncIterator[bytes]) -> Upload:
    try:
        values = json.loads(b"".join([chunk async for chunk in body]))
    except (ValueError, RecursionError) as error:
        raise Refusal("The request is not JSON, although it says so.", 400, "invalid_json") from error
    if not isinstance(values, dict):
        raise Refusal("The request must be a JSON object.", 400, "invalid_json")
    return Upload(values)


async def _read_form(request: Request, body: AsyncGenerator[bytes, None]) -> Upload:
    parser = _InMemory(request.headers, body, max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=LONGEST_FIELD)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(f"The form cannot be read: {error.message.rstrip('.')}.", 400, "invalid_form") from error
    except UnicodeError as error:
        raise Refusal("The form's texts are not in the character set that it names; send UTF-8.", 400, "invalid_form") from error
    values: dict[str, str] = {}
    files: dict[str, list[bytes]] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            data = await value.read()
            if data or value.filename:  # a browser's form sends neither where no file was chosen
                files.setdefault(name, []).append(data)
        elif name in values:
            raise Refusal(f"The field {name[:100]} is there more than once.", 400, "duplicate_parameter", name[:100])
        elif value:  # an empty field counts as one that is left out
            values[name] = value
    await form.close()
    return Upload(values, {name: tuple(each) for name, each in files.items()})
