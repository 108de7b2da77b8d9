"""The study's tables, in SQLite or PostgreSQL.

One row of `study` says what the study is; people, what they were shown and what they answered follow. Nothing here identifies a person: of
the private link only a digest is kept, and no address, name or browser is ever written. The tables themselves refuse a rating out of range,
a second vote on a case, and a second comparison at one place of a session.
"""

from __future__ import annotations

import hashlib
import json
import random
import secrets
import sqlite3
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKey, Integer, UniqueConstraint, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import Field, SQLModel

from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.study.assignment import MOST_SYSTEMS, Case, Design, Drawn, Kind, Ledger

SCHEMA = 1
RATINGS = (2, 4, 6, 8, 10)
"""Worst, poor, fair, good, excellent. Source: reference facts, "User study"."""

Scale = Literal["overall", "identity"]
SCALES: tuple[Scale, Scale] = ("overall", "identity")
"""What is rated: the edit as a whole, and how well everything that should stay is kept."""


class Study(SQLModel, table=True):
    """What the study is; one row."""

    __tablename__ = "study"
    id: int = Field(default=1, primary_key=True)
    format: int
    title: str
    contact: str
    fingerprint: str
    form_key: str
    design: dict[str, int] = Field(sa_column=Column(JSON, nullable=False))


class StudySystem(SQLModel, table=True):
    """A system whose results are shown."""

    __tablename__ = "system"
    id: int = Field(primary_key=True)
    name: str = Field(unique=True)


class StudyCaseRow(SQLModel, table=True):
    """A case: what was asked, and who answered."""

    __tablename__ = "case_"
    id: int = Field(primary_key=True)
    task: str
    language: str
    key: str
    instruction: str
    systems: list[int] = Field(sa_column=Column(JSON, nullable=False))


class Person(SQLModel, table=True):
    """Somebody who consented: the digest of their private link, and the kinds of comparison that lie before them."""

    __tablename__ = "person"
    id: int | None = Field(default=None, primary_key=True)
    link_digest: str = Field(unique=True)
    language: str
    plan: list[str] = Field(sa_column=Column(JSON, nullable=False))
    finished: bool = False


def _owned(target: str, **options: Any) -> Column[int]:
    return Column(Integer, ForeignKey(target, ondelete="CASCADE"), nullable=False, **options)


class Screen(SQLModel, table=True):
    """One comparison of one person. `tokens` name its pictures: the source first, then one a slot; `nonce` its form."""

    __tablename__ = "screen"
    __table_args__ = (UniqueConstraint("person", "position"), UniqueConstraint("person", "case_id", "kind"))
    id: int | None = Field(default=None, primary_key=True)
    person: int = Field(sa_column=_owned("person.id"))
    position: int
    kind: str
    case_id: int = Field(foreign_key="case_.id")
    slots: list[int] = Field(sa_column=Column(JSON, nullable=False))
    tokens: list[str] = Field(sa_column=Column(JSON, nullable=False))
    nonce: str
    shown: float


class Vote(SQLModel, table=True):
    """The answer to one comparison: given, or skipped with a reason. Final."""

    __tablename__ = "vote"
    __table_args__ = (UniqueConstraint("person", "case_id", "kind"),)
    screen: int = Field(sa_column=_owned("screen.id", primary_key=True, autoincrement=False))
    person: int = Field(sa_column=_owned("person.id"))
    case_id: int = Field(foreign_key="case_.id")
    kind: str
    skipped: str | None = None
    seconds: float


class Judgement(SQLModel, table=True):
    """What one answer says of the result in one slot. `system` is 0 for the decoy of an attention check."""

    __tablename__ = "judgement"
    __table_args__ = (
        CheckConstraint(f"place BETWEEN 1 AND {MOST_SYSTEMS}"),
        *(CheckConstraint(f"{scale} IN {RATINGS}") for scale in SCALES),
    )
    screen: int = Field(sa_column=_owned("vote.screen", primary_key=True, autoincrement=False))
    slot: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    system: int
    place: int
    overall: int
    identity: int


CONNECT_SECONDS = 10
"""How long PostgreSQL may take to answer a new connection."""

POSTGRES: dict[str, Any] = {
    "pool_pre_ping": True,  # a connection that was cut while nobody used it is replaced
    # a database without an encoding of its own is asked for text all the same, which would come as bytes otherwise
    "connect_args": {"client_encoding": "utf8"},
}
"""Of connections to PostgreSQL."""

TABLES = [SQLModel.metadata.tables[name] for name in ("study", "system", "case_", "person", "screen", "vote", "judgement")]
STUDY, SYSTEM, CASE, PERSON, SCREEN, VOTE, JUDGEMENT = TABLES

SHOWN = select(
    SCREEN.c.id, SCREEN.c.kind, SCREEN.c.case_id, SCREEN.c.slots, SCREEN.c.shown, VOTE.c.screen.label("answered"), VOTE.c.skipped
).outerjoin_from(SCREEN, VOTE, VOTE.c.screen == SCREEN.c.id)
"""Everything that was shown, and whether it was answered."""


def drawn_of(row: Any) -> Drawn:
    """The comparison of a row with a screen's kind, case and slots, as the assignment knows it."""
    return Drawn(Kind(row.kind), row.case_id, tuple(row.slots))


def open_engine(database: str, create: bool = False) -> Engine:
    """Connect to a database: a path means SQLite, a URL what it says.

    Args:
        database: path of an SQLite file, or `sqlite:///...`, or `postgresql://user@host/name`.
        create: make the SQLite file where there is none.

    Raises:
        UsageError: there is no such database, or it is none, or its driver is missing.
    """
    try:
        url = make_url(database) if "://" in database else URL.create("sqlite", database=database)
        if url.drivername in ("postgres", "postgresql"):
            # a host that does not answer is given up, unless the URL says when
            url = url.set(drivername="postgresql+psycopg", query={"connect_timeout": str(CONNECT_SECONDS), **url.query})
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise UsageError(f"A study is kept in SQLite or PostgreSQL, not {url.get_backend_name()}; give a path or a postgresql:// URL.")
        # nothing that people say stands in a message
        engine = create_engine(url, hide_parameters=True, **(POSTGRES if url.get_backend_name() == "postgresql" else {}))
    except (ArgumentError, NoSuchModuleError, ValueError) as error:  # not repeated: there may be a password in it
        raise UsageError("The database is neither a path nor the URL of one, as postgresql://USER@HOST:PORT/NAME.") from error
    except ModuleNotFoundError as error:
        raise UsageError("The driver for PostgreSQL is not installed; install step1x-edit[study,postgres].") from error
    if engine.dialect.name == "sqlite":
        _check_file(url.database or "", create)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    try:
        with engine.connect() as connection:
            connection.execute(select(1))
            inspect(connection).get_table_names()
    except DBAPIError as error:
        raise UsageError(f"{name_of(engine)} cannot be opened as a database ({first_line(error)}).") from error
    return engine


def name_of(engine: Engine) -> str:
    """What messages call a database: the path of an SQLite file, or the URL without password and options, where one may stand, too."""
    url = engine.url
    return url.database or "" if engine.dialect.name == "sqlite" else url.set(drivername="postgresql", query={}).render_as_string()


def may_hold_study(engine: Engine) -> bool:
    """Whether a database is empty, or has the tables of a study, and none of another program under the name of one of them."""
    tables = inspect(engine)
    names = tables.get_table_names()
    ours = [table for table in TABLES if table.name in names]
    fit = all({column["name"] for column in tables.get_columns(table.name)} == set(table.columns.keys()) for table in ours)
    return not names or (STUDY.name in names and fit)


def create_tables(engine: Engine) -> None:
    """Make the tables where they are missing."""
    SQLModel.metadata.create_all(engine, tables=TABLES)


def read_study(engine: Engine, name: str) -> Study:
    """The study in a database.

    Raises:
        UsageError: there is none in it, or one of another version.
    """
    if not inspect(engine).has_table("study"):
        raise UsageError(f"{name} holds no study; give the database that step1x study serve wrote.")
    try:
        with engine.connect() as connection:
            row = connection.execute(select(STUDY)).mappings().first()
    except DBAPIError as error:
        why = f"{name} holds no study that can be read ({first_line(error)})"
        raise UsageError(f"{why}; give the database that step1x study serve wrote.") from error
    if row is None:
        raise UsageError(f"{name} holds no study yet; start it with step1x study serve.")
    if row["format"] != SCHEMA:
        raise UsageError(f"{name} was written by another version of step1x (format {row['format']}, this one reads {SCHEMA}).")
    return Study(**row)


def write_study(engine: Engine, study: Study, systems: dict[int, str], cases: list[StudyCaseRow]) -> None:
    """Write what a new study is: all or nothing."""
    with engine.begin() as connection:
        connection.execute(insert(STUDY).values(study.model_dump()))
        connection.execute(insert(SYSTEM), [{"id": number, "name": name} for number, name in systems.items()])
        connection.execute(insert(CASE), [case.model_dump() for case in cases])


def design_of(study: Study) -> Design:
    """The study's design, as numbers."""
    return Design(**study.design)


def read_ledger(connection: Connection, design: Design, rng: random.Random) -> Ledger:
    """How often everything was shown and voted on, counted anew."""
    rows = connection.execute(select(CASE.c.id, CASE.c.task, CASE.c.language, CASE.c.systems)).all()
    ledger = Ledger((Case(row.id, row.task, row.language, tuple(row.systems)) for row in rows), design, rng)
    for row in connection.execute(SHOWN):
        drawn = drawn_of(row)
        ledger.show(row.id, drawn, row.shown)
        if row.answered is not None:
            ledger.settle(row.id, drawn, voted=row.skipped is None)
    return ledger


def digest_link(secret: str) -> str:
    """What is kept of a private link: enough to recognise it, not to rebuild it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secrets(count: int) -> list[str]:
    """Texts for links and forms that nobody can guess, of 192 bits each."""
    random_bytes = secrets.token_bytes(24 * count)
    return [urlsafe_b64encode(random_bytes[24 * i : 24 * i + 24]).decode() for i in range(count)]


def reader_of(engine: Engine) -> Engine:
    """For one statement at a time that changes nothing: it needs no transaction to be consistent, nor the time to begin and end one."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(single_read=True)


def scrub(engine: Engine) -> None:
    """Make sure that deleted rows are gone from the files too: SQLite's log still holds them until it is written back."""
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            connection.close()


def _check_file(path: str, create: bool) -> None:
    file = Path(path)
    if not path or path == ":memory:":
        raise UsageError("The study's database must be a file, so that votes are kept; give --db a path.")
    if not create and not file.is_file():
        raise UsageError(f"There is no database {file}; give the one that step1x study serve wrote.")
    if not file.parent.is_dir():
        raise UsageError(f"The folder {file.parent} for the database does not exist; create it first.")
    if file.is_file() and file.stat().st_size:
        with file.open("rb") as opened:
            if opened.read(15) != b"SQLite format 3":
                raise UsageError(f"{file} is not a database; give another path.")


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    """Transactions are begun by us alone, and a commit returns only when the disk has it."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("single_read"):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writer") else "BEGIN")


def first_line(error: DBAPIError) -> str:
    """What a database says of an error, in one line."""
    return str(error.orig).strip().splitlines()[0].rstrip(".")


def fingerprint(value: object) -> str:
    """A digest of anything that JSON can hold; equal values have equal digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class StoreError(Step1XError):
    """The database could not keep something; nothing was acknowledged."""

    http_status = 503
