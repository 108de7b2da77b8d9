"""One thread writes: what is acknowledged is kept, what is refused undoes itself alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine

from step1x_edit.study import writer as module
from step1x_edit.study.answers import Refusal
from step1x_edit.study.store import StoreError, open_engine
from step1x_edit.study.writer import BusyError, Writer


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(str(tmp_path / "numbers.db"), create=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE number (value INTEGER PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE late (value INTEGER REFERENCES number (value) DEFERRABLE INITIALLY DEFERRED)"))
    yield engine
    engine.dispose()


def add(value: int, then: Exception | None = None, table: str = "number") -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text(f"INSERT INTO {table} VALUES ({value})"))
        if then is not None:
            raise then
        return value

    return work


def stored(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT value FROM number ORDER BY value")).scalars())


def together(writer: Writer, *jobs: Callable[[Connection], object]) -> list:
    """Submit jobs so that they share one transaction; their promises."""
    gate = threading.Event()
    first = writer.submit(lambda connection: gate.wait())
    promises = [writer.submit(job) for job in jobs]
    gate.set()
    wait([first, *promises], timeout=10)
    return promises


def test_everything_acknowledged_is_there_once(engine: Engine) -> None:
    writer = Writer(engine, lambda connection: None)
    promises = [writer.submit(add(value)) for value in range(500)]
    assert [promise.result(10) for promise in promises] == list(range(500))
    assert stored(engine) == list(range(500))
    writer.close()


def test_what_waits_is_written_before_the_end(engine: Engine) -> None:
    writer = Writer(engine, lambda connection: None)
    for value in range(300):
        writer.submit(add(value))
    writer.close()
    assert len(stored(engine)) == 300


def test_a_refusal_undoes_itself_alone(engine: Engine) -> None:
    recounts = []
    writer = Writer(engine, lambda connection: recounts.append(1))
    one, two, three = together(writer, add(1), add(2, Refusal("already_voted", 409)), add(3))
    assert (one.result(), three.result()) == (1, 3)
    with pytest.raises(Refusal):
        two.result()
    assert stored(engine) == [1, 3]
    writer.submit(add(4)).result(10)
    assert not recounts, "nothing in memory went wrong"
    writer.close()


def test_an_error_undoes_itself_and_memory_is_counted_anew(engine: Engine) -> None:
    recounts = []
    writer = Writer(engine, lambda connection: recounts.append(1))
    one, two = together(writer, add(1), add(1))
    assert one.result() == 1 and two.exception() is not None
    writer.submit(add(2)).result(10)
    assert stored(engine) == [1, 2] and recounts == [1]
    writer.close()


def test_when_a_commit_fails_nothing_of_it_is_acknowledged(engine: Engine) -> None:
    recounts = []
    writer = Writer(engine, lambda connection: recounts.append(1))
    writer.submit(add(0)).result(10)
    promises = together(writer, add(1), add(99, table="late"), add(2))  # the broken reference shows at the commit
    assert all(isinstance(promise.exception(), StoreError) for promise in promises)
    assert stored(engine) == [0]
    assert writer.submit(add(3)).result(10) == 3 and recounts == [1]
    writer.close()


def test_when_the_database_undoes_a_transaction_by_itself_nothing_of_it_is_acknowledged(engine: Engine) -> None:
    """A file that may not grow stands for a full disk: SQLite answers an insertion that does not fit by undoing all that went before."""
    recounts = []
    writer = Writer(engine, lambda connection: recounts.append(1))
    writer.submit(lambda connection: connection.execute(text("CREATE TABLE long (content TEXT)"))).result(10)
    pages = writer.submit(lambda connection: connection.execute(text("PRAGMA page_count")).scalar()).result(10)

    def overflow(connection: Connection) -> None:
        connection.execute(text(f"PRAGMA max_page_count = {pages + 5}"))
        connection.execute(text("INSERT INTO long VALUES (zeroblob(1000000))"))

    promises = together(writer, add(1), add(2), overflow, add(3), add(4))
    assert all(isinstance(promise.exception(), StoreError) for promise in promises)
    assert stored(engine) == []
    assert writer.submit(add(5)).result(10) == 5 and recounts == [1]
    assert stored(engine) == [5]
    writer.close()


def test_too_much_at_once_is_said_to_be(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    writer = Writer(engine, lambda connection: None)
    gate = threading.Event()
    started = threading.Event()
    first = writer.submit(lambda connection: started.set() or gate.wait())
    started.wait(10)
    waiting = [writer.submit(add(value)) for value in range(3)]
    with pytest.raises(BusyError, match="try again"):
        writer.submit(add(9))
    gate.set()
    wait([first, *waiting], timeout=10)
    assert stored(engine) == [0, 1, 2]
    writer.close()


def test_a_job_whose_asker_gave_up_does_not_stop_the_writer(engine: Engine) -> None:
    writer = Writer(engine, lambda connection: None)
    gate = threading.Event()
    first = writer.submit(lambda connection: gate.wait())
    given_up = writer.submit(add(1))
    given_up.cancel()
    gate.set()
    first.result(10)
    assert writer.submit(add(2)).result(10) == 2
    writer.close()
