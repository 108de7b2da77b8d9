"""The one writer: every change to the database goes through one thread, and is acknowledged only when it is on the disk.

Jobs that arrive together share one transaction, each in a savepoint of its own, so that two hundred votes at once wait for a few disk
flushes instead of two hundred. A job that refuses undoes itself alone; a commit that fails undoes all of its transaction and none is
acknowledged. So does an error after which SQLite has undone the transaction by itself, such as a full disk.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Generic, TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from step1x_edit.study.answers import Refusal
from step1x_edit.study.claim import Renewal
from step1x_edit.study.store import StoreError, first_line

MOST_WAITING = 2000
MOST_TOGETHER = 64

T = TypeVar("T")

_log = logging.getLogger(__name__)


class BusyError(StoreError):
    """More waits to be written than can be kept in order; nothing of the request was kept."""


class _Outcome:
    """A context that keeps what goes wrong inside it, to be handed to the one who asked."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.error = error
        return error is not None


class _Job(_Outcome, Generic[T]):
    """One change, and the promise of its result."""

    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.promise: Future[T] = Future()
        self.result: T | None = None

    def settle(self) -> None:
        if not self.promise.set_running_or_notify_cancel():
            return
        if self.error is not None:
            self.promise.set_exception(self.error)
        else:
            self.promise.set_result(self.result)  # type: ignore[arg-type]


class Writer:
    """A thread that changes the database.

    Args:
        engine: the database.
        undone: called in the writer's thread at the start of the transaction after a lost one, to count anew what is kept in memory.
        renew: makes sure, before each transaction, that the database is still this server's.
    """

    def __init__(self, engine: Engine, undone: Callable[[Connection], None], renew: Renewal = lambda: True) -> None:
        self._engine = engine.execution_options(writer=True)
        self._undone = undone
        self._renew = renew
        self._stale = False
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="study-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Have a change made; the future holds its result once it is committed.

        Raises:
            BusyError: too much is waiting already.
        """
        job = _Job(work)
        try:
            self._jobs.put_nowait(job)
        except queue.Full as error:
            raise BusyError("Too many people are answering at this moment; try again in a few seconds.") from error
        return job.promise

    def close(self) -> None:
        """Write what waits, then stop."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            jobs = [self._jobs.get()]
            while len(jobs) < MOST_TOGETHER and not self._jobs.empty():
                jobs.append(self._jobs.get())
            running = None not in jobs
            self._commit([job for job in jobs if job is not None])

    def _commit(self, jobs: list[_Job]) -> None:
        outcome = _Outcome()
        with outcome:
            self._stale = not self._renew() or self._stale
            with self._engine.begin() as connection:
                if self._stale:
                    self._undone(connection)
                for job in jobs:
                    with job, connection.begin_nested():
                        job.result = job.work(connection)
                    if not _lasts(connection):
                        raise StoreError("The database undid the answers that were saved together with one that it could not save.")
        if outcome.error is not None:
            # what broke the transaction says more than that it is broken
            reason = next((job.error for job in jobs if isinstance(job.error, DBAPIError)), outcome.error)
            _log.error("Answers cannot be saved, and people are told so: %s", _describe(reason))
            for job in jobs:
                job.error = StoreError("The answer could not be saved and was not counted; try again in a minute.")
                job.error.__cause__ = outcome.error
        self._stale = any(job.error is not None and not isinstance(job.error, Refusal) for job in jobs)
        for job in jobs:
            job.settle()


def _describe(error: BaseException) -> str:
    return first_line(error) if isinstance(error, DBAPIError) else str(error)


def _lasts(connection: Connection) -> bool:
    """Whether the transaction is still there. Where it is not, SQLite would keep what follows at once, and a commit would do nothing."""
    driver = connection.connection.driver_connection
    return not isinstance(driver, sqlite3.Connection) or driver.in_transaction
