"""The tables themselves refuse what must not be in them, and a database that is no study is said to be none."""

from __future__ import annotations

import random
import socket
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from study_hall import DESIGN
from study_material import make_results

from step1x_edit.errors import UsageError
from step1x_edit.study import store
from step1x_edit.study.assignment import Design, Ledger
from step1x_edit.study.claim import claim_database
from step1x_edit.study.opening import OpenStudy, open_study
from step1x_edit.study.results import read_results
from step1x_edit.study.store import (
    JUDGEMENT,
    PERSON,
    SCREEN,
    VOTE,
    digest_link,
    new_secrets,
    open_engine,
    read_ledger,
    read_study,
)
from step1x_edit.study.voting import Booth, read_current

FORM = {f"{what}_{letter}": value for letter in "ABC" for what, value in (("place", "1"), ("overall", "6"), ("identity", "8"))}


@pytest.fixture
def booth(begin: Callable[..., OpenStudy]) -> tuple[Booth, OpenStudy]:
    """A booth, and the study that it is for."""
    opened = begin()
    booth = Booth(opened.design, random.Random(1))
    with opened.engine.connect() as connection:
        booth.recount(connection)
    return booth, opened


def vote_once(booth: Booth, opened: OpenStudy) -> tuple[str, int]:
    """Somebody joins and votes; their link and the screen voted on."""
    with opened.engine.execution_options(writer=True).begin() as connection:
        link = booth.join(connection, "en")
        current = read_current(connection, link)
        assert current is not None
        booth.vote(connection, link, 1, current.nonce, FORM)
    return link, current.screen


def counts(ledger: Ledger) -> tuple[object, ...]:
    """All that a ledger has counted."""
    return ledger.views, ledger.needed(time.time()), ledger._claims, ledger._shown, ledger._together, ledger._placed


@pytest.mark.parametrize(
    "changed", [{"overall": 7}, {"overall": 0}, {"overall": 12}, {"identity": 1}, {"identity": -2}, {"place": 0}, {"place": 7}, {"slot": 0}]
)
def test_the_tables_refuse_judgements_out_of_range(booth: tuple[Booth, OpenStudy], changed: dict[str, int]) -> None:
    _, screen = vote_once(*booth)
    row = {"screen": screen, "slot": 5, "system": 1, "place": 1, "overall": 2, "identity": 10}
    with booth[1].engine.begin() as connection:
        connection.execute(insert(JUDGEMENT), [row])
    with pytest.raises(IntegrityError), booth[1].engine.begin() as connection:
        connection.execute(insert(JUDGEMENT), [{**row, "slot": 4, **changed}])


def test_the_tables_refuse_a_second_vote(booth: tuple[Booth, OpenStudy]) -> None:
    _, screen = vote_once(*booth)
    engine = booth[1].engine
    with engine.connect() as connection:
        kept = connection.execute(select(VOTE)).mappings().one()
        shown = connection.execute(select(SCREEN).where(SCREEN.c.id == screen)).mappings().one()
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(VOTE), [dict(kept)])
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(VOTE), [{**kept, "screen": screen + 1}])  # the same case again, on another screen
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(SCREEN), [{**shown, "id": None, "case_id": 15}])  # a second comparison at one place
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(VOTE), [{**kept, "screen": 999, "case_id": 15}])  # a vote on nothing that was shown


def test_taking_everything_back_leaves_nothing(booth: tuple[Booth, OpenStudy]) -> None:
    one, _ = vote_once(*booth)
    vote_once(*booth)
    with booth[1].engine.execution_options(writer=True).begin() as connection:
        booth[0].withdraw(connection, one)
    with booth[1].engine.connect() as connection:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (PERSON, SCREEN, VOTE, JUDGEMENT)]
        assert read_current(connection, one) is None
    assert counts == [1, 2, 1, 3]


def test_the_ledger_is_counted_anew_as_it_was(booth: tuple[Booth, OpenStudy]) -> None:
    for _ in range(6):
        vote_once(*booth)
    with booth[1].engine.connect() as connection:
        again = read_ledger(connection, booth[1].design, random.Random(0))
    was = booth[0]._ledger
    assert again.views.total() == 6 and counts(again) == counts(was)


def test_what_is_taken_back_is_counted_back_not_all_counted_anew(booth: tuple[Booth, OpenStudy]) -> None:
    """Counting a study of a thousand people anew takes a second, for which nobody else could vote."""
    links = [vote_once(*booth)[0] for _ in range(4)]
    was = booth[0]._ledger
    with booth[1].engine.execution_options(writer=True).begin() as connection:
        current = read_current(connection, links[2])
        assert current is not None
        booth[0].skip(connection, links[2], 2, current.nonce, "undecided")
        for link in (links[0], links[2]):
            booth[0].withdraw(connection, link)
        again = read_ledger(connection, booth[1].design, random.Random(0))
    assert booth[0]._ledger is was and again.views.total() == 2 and counts(again) == counts(was)


def test_the_private_link_is_not_kept(booth: tuple[Booth, OpenStudy], tmp_path: Path) -> None:
    link, _ = vote_once(*booth)
    files = b"".join(file.read_bytes() for file in tmp_path.glob("study.db*"))
    assert link.encode() not in files and digest_link(link).encode() in files


def test_no_column_could_hold_who_somebody_is() -> None:
    columns = {table.name: set(table.c.keys()) for table in (PERSON, SCREEN, VOTE, JUDGEMENT)}
    assert columns == {
        "person": {"id", "link_digest", "language", "plan", "finished"},
        "screen": {"id", "person", "position", "kind", "case_id", "slots", "tokens", "nonce", "shown"},
        "vote": {"screen", "person", "case_id", "kind", "skipped", "seconds"},
        "judgement": {"screen", "slot", "system", "place", "overall", "identity"},
    }


def test_secrets_are_long_and_never_the_same() -> None:
    made = [secret for _ in range(100) for secret in new_secrets(5)]
    assert len(set(made)) == 500 and all(len(secret) == 32 for secret in made)


def test_a_commit_waits_for_the_disk(begin: Callable[..., OpenStudy]) -> None:
    with begin().engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        ]
    assert settings == ["wal", 2, 1, 1]


def test_the_same_results_go_on_and_others_are_refused(begin: Callable[..., OpenStudy], results: Path, tmp_path: Path) -> None:
    first = begin()
    again = begin(replace(DESIGN, people_per_case=7), title="Another title")
    assert again.study.form_key == first.study.form_key, "private links and open pages stay good"
    assert again.design.people_per_case == 7 and again.study.title == "Another title"
    make_results(tmp_path / "other", ["one", "two"], size=(32, 32))
    with pytest.raises(UsageError, match="other results or instructions"):
        open_study(str(tmp_path / "study.db"), read_results([tmp_path / "other"]), DESIGN, "", "", tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"systems_per_screen": 1}, "2 to 6 systems"),
        ({"systems_per_screen": 7}, "2 to 6 systems"),
        ({"people_per_case": 0}, "at least 1"),
        ({"checks": -1}, "at least 0"),
        ({"cases_per_person": 16}, "There are 12 cases in a language"),
        ({"repeats": 6}, "at most their 5 cases"),
    ],
)
def test_a_design_that_cannot_be_is_refused(begin: Callable[..., OpenStudy], change: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        begin(replace(DESIGN, **change))


def test_databases_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database at all")
    with pytest.raises(UsageError, match="is not a database"):
        open_engine(str(tmp_path / "text.db"))
    with pytest.raises(UsageError, match="There is no database"):
        open_engine(str(tmp_path / "missing.db"))
    with pytest.raises(UsageError, match="does not exist"):
        open_engine(str(tmp_path / "no" / "study.db"), create=True)
    with pytest.raises(UsageError, match="must be a file"):
        open_engine("sqlite://", create=True)
    with pytest.raises(UsageError, match="SQLite or PostgreSQL, not mysql"):
        open_engine("mysql://localhost/x")
    with pytest.raises(UsageError, match="neither a path nor the URL"):
        open_engine("://x")


def test_a_path_is_a_path_whatever_its_letters(begin: Callable[..., OpenStudy], tmp_path: Path) -> None:
    for name in ("which?.db", "which?one=1.db", "100%25 #1.db"):
        begin(database=tmp_path / name)
        assert (tmp_path / name).stat().st_size and (tmp_path / f"{name}.lock").exists()
    assert not (tmp_path / "which").exists()


def test_another_programs_database_is_left_alone(begin: Callable[..., OpenStudy], tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "songs.db") as connection:
        connection.execute("CREATE TABLE song (title TEXT)")
    connection.close()
    with pytest.raises(UsageError, match="something else"):
        begin(database=tmp_path / "songs.db")
    engine = open_engine(str(tmp_path / "songs.db"))
    with pytest.raises(UsageError, match="holds no study"):
        read_study(engine, "songs.db")
    engine.dispose()


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UsageError) as caught:
        open_engine("postgresql://somebody:hunter2@127.0.0.1:1/study?connect_timeout=1")
    assert "hunter2" not in str(caught.value) and "127.0.0.1" in str(caught.value)
    with pytest.raises(UsageError) as caught:
        open_engine("postgresql://somebody@127.0.0.1:1/study?connect_timeout=1&password=hunter2")
    assert "hunter2" not in str(caught.value) and "somebody@127.0.0.1:1/study" in str(caught.value)
    with pytest.raises(UsageError, match="neither a path nor the URL") as caught:
        open_engine("postgresql://somebody:hunter2@127.0.0.1:port/study")
    assert "hunter2" not in str(caught.value)


def test_a_host_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setattr(store, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UsageError, match="timeout expired"):
        open_engine(f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/study")


def test_a_database_has_one_server(begin: Callable[..., OpenStudy], tmp_path: Path) -> None:
    first, second = begin(), begin()
    with claim_database(first.engine), pytest.raises(UsageError, match="Another server"), claim_database(second.engine):
        pass
    with claim_database(second.engine):
        pass
    (tmp_path / "same.db").symlink_to(tmp_path / "study.db")
    with claim_database(first.engine), pytest.raises(UsageError, match="Another server"):
        begin(database=tmp_path / "same.db")


def test_what_a_design_promises_is_kept(begin: Callable[..., OpenStudy]) -> None:
    assert begin(Design(4, 2, 6, 2, 1)).design.screens == 9
