"""What the study's pages work with: who asks, what is before them, and the changes that they make.

Pages are read on the event loop from SQLite, in threads from PostgreSQL; changes wait for the writer's commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from fastapi import FastAPI
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from starlette.requests import Request
from starlette.responses import Response

from step1x_edit.study.answers import Refusal
from step1x_edit.study.claim import Renewal
from step1x_edit.study.opening import OpenStudy
from step1x_edit.study.pages import Pages
from step1x_edit.study.protection import name_cookie
from step1x_edit.study.store import StoreError, first_line, reader_of
from step1x_edit.study.voting import Booth, Current, read_current
from step1x_edit.study.writer import Writer

T = TypeVar("T")

LONGEST_WAIT = 10.0
"""Seconds that a vote may wait for the disk before the person is told that it is not certain."""

_log = logging.getLogger(__name__)


class Service:
    """What the pages work with.

    Args:
        opened: the study.
        public_url: scheme, host and port that people see; None takes those of the request.
        seed: fixes the assignment; None lets chance decide.
        renew: makes sure that the database is still this server's.
    """

    def __init__(self, opened: OpenStudy, public_url: str | None, seed: int | None, renew: Renewal) -> None:
        self.study = opened.study
        self.design = opened.design
        self.engine = opened.engine
        self._reader = reader_of(opened.engine)
        self.gallery = opened.gallery
        self.public_url = public_url
        self.pages = Pages(opened.study)
        self._cookie = name_cookie(opened.study.form_key)
        self.booth = Booth(opened.design, random.Random(seed))
        self._renew = renew
        self._readable = True
        self._writer: Writer | None = None

    @property
    def secure(self) -> bool:
        """Whether people reach the pages over https."""
        return (self.public_url or "").startswith("https://")

    @asynccontextmanager
    async def run(self, _: FastAPI) -> AsyncIterator[None]:
        """Count what is there, and keep the writer for as long as the server runs; after it, all is in the database's one file."""
        with self.engine.connect() as connection:
            self.booth.recount(connection)
        self._writer = Writer(self.engine, self.booth.recount, self._renew)
        yield
        self._writer.close()
        self.engine.dispose()  # SQLite writes its log back when the last connection is closed

    async def find(self, request: Request) -> Current | None:
        """Who asks, and the comparison before them."""
        link = self.session(request)
        return await self.look_up(link) if link else None

    def session(self, request: Request) -> str:
        """What this study's cookie holds: a person's private link, or a random text before somebody joins; empty without one."""
        return request.cookies.get(self._cookie, "")

    def keep(self, response: Response, session: str, seconds: int | None) -> None:
        """Set the cookie; without a duration, until the browser is closed."""
        response.set_cookie(self._cookie, session, max_age=seconds, httponly=True, samesite="lax", secure=self.secure)

    def drop(self, response: Response) -> None:
        """Take the cookie away."""
        response.delete_cookie(self._cookie)

    async def look_up(self, link: str) -> Current | None:
        """Whose private link this is.

        Raises:
            StoreError: the database cannot be read.
        """
        if self.engine.dialect.name == "sqlite":  # which reads sooner than a thread is asked to
            return self._read(link)
        return await asyncio.to_thread(self._read, link)

    def _read(self, link: str) -> Current | None:
        try:
            with self._reader.connect() as connection:
                current = read_current(connection, link)
        except DBAPIError as error:
            if self._readable:  # said once, not for every page and picture that people ask for meanwhile
                _log.error("The study cannot be read, and people are told so: %s", first_line(error))
            self._readable = False
            raise StoreError("The study cannot be read just now; try again in a minute.") from error
        self._readable = True
        return current

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Have a change made, and wait until it is kept."""
        assert self._writer is not None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._writer.submit(work)), LONGEST_WAIT)
        except TimeoutError as error:
            raise Refusal("unsure", 503) from error
