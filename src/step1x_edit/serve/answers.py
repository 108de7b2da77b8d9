"""From the engine's events to the answer: OpenAI's JSON, or its stream of events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Literal, TypeVar

from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from step1x_edit.serve.engine import Engine, Ticket
from step1x_edit.serve.messages import Done, Event, Failed, Preview
from step1x_edit.serve.orders import Order
from step1x_edit.serve.refusals import Refusal, describe
from step1x_edit.serve.schemas import Picture, Pictures, Usage

T = TypeVar("T")
Kind = Literal["image_edit", "image_generation"]

FIRST_EVENT = 5.0
"""Seconds that a stream waits for its first event, so that a request that fails at once is answered with a status that says so."""

HEARTBEAT = 15.0
"""Seconds after which a silent stream says that it is alive, so that proxies keep the connection."""

PIECE = 256 * 1024
"""Bytes of an event that are sent at once: who takes in a large picture slowly has time for each such piece, not for the whole."""


def to_json(values: Any) -> bytes:
    """ASCII alone: what clients sent is echoed in errors, and may be no valid text."""
    return json.dumps(values, separators=(",", ":")).encode("ascii")


async def answer(engine: Engine, order: Order, owner: str, request: Request, kind: Kind) -> Response:
    """Have an order's pictures made, and answer with all of them, or where it is so wished, with a stream of what is there.

    Raises:
        Refusal: they could not be made, as far as that is known before the answer begins.
        ClientDisconnect: the client has left.
    """
    if order.wishes.stream:
        return await _answer_in_events(engine, order, owner, request, kind)
    return await _answer_at_once(engine, order, owner, request)


async def _answer_at_once(engine: Engine, order: Order, owner: str, request: Request) -> Response:
    """All pictures in one answer; where one fails, that is the answer."""
    tickets = engine.submit(owner, order.tasks, order.seconds, order.arrived)
    try:
        ends = await _unless_gone(request, asyncio.gather(*(_end(ticket) for ticket in tickets)))
    finally:
        engine.cancel(tickets)
    pictures = Pictures(
        created=int(time.time()),
        data=[_picture(end, order, task.seed) for end, task in zip(ends, order.tasks, strict=True)],
        model=engine.model.model if engine.model else "",
        output_format=order.wishes.output_format,
        size=_size(ends[0].size),
        background=_background(ends[0]),
        usage=Usage.of(ends[0].text_tokens, ends[0].image_tokens, sum(end.drawn_tokens for end in ends)),
        seconds={step: round(seconds, 4) for step, seconds in ends[0].seconds.items()},
    )
    return Response(to_json(pictures.model_dump(exclude_none=True)), media_type="application/json")


async def _answer_in_events(engine: Engine, order: Order, owner: str, request: Request, kind: Kind) -> Response:
    """Pictures as they come, and those of the work in progress."""
    tickets = engine.submit(owner, order.tasks, order.seconds, order.arrived)
    merged: asyncio.Queue[tuple[Ticket, Event]] = asyncio.Queue()
    pumps = [asyncio.get_running_loop().create_task(_pump(ticket, merged)) for ticket in tickets]

    def close() -> None:
        for pump in pumps:
            pump.cancel()
        engine.cancel(tickets)

    first: tuple[Ticket, Event] | None = None
    with ExitStack() as undo:
        undo.callback(close)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_EVENT):
                first = await _unless_gone(request, merged.get())
        if first is not None and isinstance(first[1], Failed):
            raise _refusal(first[1])
        undo.pop_all()

    async def stream() -> AsyncIterator[bytes]:
        try:
            left, event = len(tickets), first
            while left:
                if event is None:
                    try:
                        async with asyncio.timeout(HEARTBEAT):
                            event = await merged.get()
                    except TimeoutError:
                        yield b": still at work\n\n"
                        continue
                ticket, said = event
                event = None
                if isinstance(said, Failed):
                    yield _event("error", describe(said.sentence, said.status, said.code))
                    return
                left -= isinstance(said, Done)
                for piece in _cut(_describe_event(said, ticket, order, kind)):
                    yield piece
        finally:
            close()

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The work's result, or as soon as the client has left, an end to it.

    Raises:
        ClientDisconnect: it has left.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_leave(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)  # what nobody looks at is printed as an error


async def _leave(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _end(ticket: Ticket) -> Done:
    while True:
        match await ticket.events.get():
            case Done() as end:
                return end
            case Failed() as failure:
                raise _refusal(failure)


async def _pump(ticket: Ticket, merged: asyncio.Queue[tuple[Ticket, Event]]) -> None:
    while True:
        event = await ticket.events.get()
        merged.put_nowait((ticket, event))
        if not isinstance(event, Preview):
            return


def _refusal(failure: Failed) -> Refusal:
    return Refusal(failure.sentence, failure.status, failure.code)


def _picture(end: Done, order: Order, seed: int) -> Picture:
    if order.wishes.response_format == "url":
        return Picture(url=f"data:image/{order.wishes.output_format};base64,{end.picture}", seed=seed, notes=list(end.notes))
    return Picture(b64_json=end.picture, seed=seed, notes=list(end.notes))


def _background(said: Preview | Done) -> Literal["opaque", "transparent"]:
    """Of work in progress no transparency is shown."""
    return "transparent" if isinstance(said, Done) and said.transparent else "opaque"


def _describe_event(said: Preview | Done, ticket: Ticket, order: Order, kind: Kind) -> bytes:
    record: dict[str, Any] = {
        "b64_json": said.picture,
        "background": _background(said),
        "created_at": int(time.time()),
        "output_format": order.wishes.output_format,
        "quality": "auto",
        "size": _size(said.size),
        "seed": ticket.task.seed,
    }
    if isinstance(said, Preview):
        return _event(f"{kind}.partial_image", {**record, "partial_image_index": said.index})
    usage = Usage.of(said.text_tokens, said.image_tokens, said.drawn_tokens)
    return _event(f"{kind}.completed", {**record, "notes": said.notes, "usage": usage.model_dump()})


def _event(name: str, record: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), to_json({"type": name, **record}))


def _cut(event: bytes) -> Iterator[bytes]:
    return (event[start : start + PIECE] for start in range(0, len(event), PIECE))


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
