"""One server to a database: who has it, and whether they still do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from step1x_edit.errors import UsageError
from step1x_edit.locking import hold
from step1x_edit.study.store import StoreError

ADVISORY_LOCK = 20250417761
"""What a server of a study holds in PostgreSQL while it runs."""

BUSY = "Another server is running this study; stop it first, or give another database."

Renewal = Callable[[], bool]
"""Makes sure, before anything is changed, that the database is still this server's; returns whether it was all along, since otherwise
another may have changed the study. Raises StoreError where another has it now, DBAPIError where the database cannot be reached."""


@contextmanager
def claim_database(engine: Engine) -> Iterator[Renewal]:
    """Make sure that this is the database's only server, for as long as the context lasts.

    Raises:
        UsageError: another server has it.
    """
    if engine.dialect.name == "postgresql":
        claim = _PostgresClaim(engine)
        try:
            if not claim.take():
                raise UsageError(BUSY)
            yield claim.renew
        finally:
            claim.release()
        return
    file = Path(engine.url.database or "").resolve()  # one lock, whichever link leads to the file
    with hold(file.with_name(f"{file.name}.lock"), BUSY):
        yield lambda: True


class _PostgresClaim:
    """A lock of a connection of its own, which PostgreSQL gives back when that is cut: when the database is started again, for one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")  # no transaction stays open meanwhile
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Whether the database is ours now."""
        with ExitStack() as unless_ours:
            connection = unless_ours.enter_context(self._engine.connect())
            if connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({ADVISORY_LOCK})").scalar():
                self._connection = connection
                unless_ours.pop_all()
        return self._connection is not None

    def renew(self) -> bool:
        """See `Renewal`."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql("SELECT 1")
                return True
            except DBAPIError:
                self._drop()
        if not self.take():
            raise StoreError(BUSY)
        return False

    def release(self) -> None:
        """Let another server have it."""
        if self._connection is not None:
            try:
                self._connection.exec_driver_sql(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})")
                self._connection.close()
            except DBAPIError:
                self._drop()

    def _drop(self) -> None:
        """End the connection, whatever state it is in, so that what it may still hold is given back."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
