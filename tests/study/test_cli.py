"""`step1x study` from the command line: what it says, and one sentence when it cannot."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import pytest
from study_hall import DESIGN, Hall
from study_material import make_results
from study_people import fill_in, form_token, read_page
from study_server import Server

from step1x_edit.cli.main import run
from step1x_edit.errors import ImageError
from step1x_edit.study.opening import OpenStudy, open_study
from step1x_edit.study.results import read_results
from step1x_edit.study.store import open_engine, read_study


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and complaints."""
    code = run(["study", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_report_and_export(hall: Hall, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        person = hall.enter()
        person.join()
        person.finish()
    code, said, complaint = call(
        capsys, "report", "--db", tmp_path / "study.db", "--out", tmp_path / "r.html", "--resamples", 100, "--allowed-failures", 1
    )
    assert (code, complaint) == (0, "") and "15 comparisons by 3 people; 0 left out." in said
    assert len(said.splitlines()) == 5 and (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    code, said, _ = call(capsys, "export", "--db", tmp_path / "study.db", "--out", tmp_path / "votes.parquet")
    assert code == 0 and said.endswith("votes.parquet: 63 rows.\n")


def test_plan_says_how_many_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = call(capsys, "plan", "--difference", "0.5", "--cases", "600")
    assert code == 0 and said.startswith("25 people see a difference of 0.5 points") and "--people-per-case 1 " in said
    code, fewer, _ = call(capsys, "plan", "--difference", "1", "--candidates", "5", "--systems", "2", "--cases-per-person", "30")
    assert code == 0 and "Each compares 2 of 5 systems on 30 cases, so two given systems on 3." in fewer
    code, said, _ = call(capsys, "plan", "--candidates", "6", "--systems", "3", "--cases", "600")
    assert code == 0 and " --systems 3 --people-per-case " in said  # the command that it names serves what was planned


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["report", "--db", "none.db"], "There is no database none.db"),
        (["export", "--db", "none.db"], "There is no database none.db"),
        (["plan", "--difference", "0"], "cannot be planned for"),
        (["plan", "--candidates", "3", "--systems", "4"], "4 of 3 cannot be"),
        (["plan", "--cases", "0"], "greater than or equal to 1"),
        (["plan", "--pilot", "none.db"], "There is no database none.db"),
        (["serve", "none"], "There is no folder none"),
        (["serve", ".", "--public-url", "study.example.org"], "not of the form https://HOST"),
        (["serve", ".", "--public-url", "https://["], "not of the form https://HOST"),
        (["report", "--allowed-failures", "-1"], "--allowed-failures"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said, complaint = call(capsys, *arguments)
    assert code == 2 and said == "" and sentence in complaint and complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_report_yet(begin: Callable[..., OpenStudy], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin()
    code, _, complaint = call(capsys, "report", "--db", tmp_path / "study.db", "--out", tmp_path / "r.html")
    assert code == 2 and "no votes yet" in complaint and not (tmp_path / "r.html").exists()


def test_a_study_of_damaged_pictures_is_none_and_begins_once_they_are_mended(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    make_results(folder, ["one", "two"], cases_per_task=1, size=(32, 32))
    broken = next((folder / "one").rglob("*/en/*.png"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-40])
    opening = partial(open_study, str(tmp_path / "study.db"), contact="a@b.c", title="T", cache=tmp_path / "pictures")
    design = replace(DESIGN, cases_per_person=2, checks=0, repeats=0, systems_per_screen=2)
    with pytest.raises(ImageError, match="damaged"):
        opening(read_results([folder]), design)
    broken.write_bytes(whole)
    opened = opening(read_results([folder]), design)
    assert opened.study.title == "T"
    opened.engine.dispose()


def test_serve_stops_when_asked_to_and_says_what_it_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    make_results(folder, ["one", "two"], cases_per_task=2, size=(32, 32))
    lines = (folder / "cases.jsonl").read_text().splitlines()
    (folder / "cases.jsonl").write_text("\n".join(lines[1:]))
    assert json.loads(lines[0])["key"] == "case0000"
    for system in ("one", "two"):
        other = {**json.loads(lines[1]), "instruction": f"what {system} was asked"}
        (folder / system / "cases.jsonl").write_text(json.dumps(other))
    assert "the systems were asked different things" in read_results([folder]).left_out.values()
    server = Server(folder, "--cases-per-person", "5", "--checks", "1")
    answer = httpx.get(server.url, headers={"user-agent": "Telltale/9"})
    assert answer.status_code == 200 and "server" not in answer.headers
    with pytest.raises(AssertionError, match="Another server is running this study"):
        Server(folder, "--cases-per-person", "5", "--checks", "1", "--title", "Somebody else's")
    assert "Somebody else" not in read_study(open_engine(str(server.database)), "").title
    assert "Stopped. Every vote that was acknowledged is kept" in server.stop(signal.SIGINT)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_once_the_server_has_stopped_the_study_is_in_one_file(tmp_path: Path, how: signal.Signals) -> None:
    make_results(tmp_path / "results", ["one", "two"], cases_per_task=2, size=(32, 32))
    server = Server(tmp_path / "results", "--cases-per-person", "5", "--checks", "1", database=str(tmp_path / "study.db"))
    with httpx.Client(base_url=server.url) as person:
        person.post("/join", data={"form_token": form_token(person.get("/").text), "consent": "yes", "language": "en"})
        page = read_page(person.get("/compare").text)
        assert person.post("/vote", data=fill_in(page, [5.0, 7.0])).status_code == 303
    server.stop(how)
    shutil.copy(tmp_path / "study.db", tmp_path / "taken home.db")
    with sqlite3.connect(tmp_path / "taken home.db") as copy:
        assert copy.execute("SELECT count(*) FROM vote").fetchone() == (1,)
    copy.close()


def test_who_leaves_in_the_middle_of_a_form_is_no_failure_of_the_server(tmp_path: Path) -> None:
    make_results(tmp_path / "results", ["one", "two"], cases_per_task=2, size=(32, 32))
    server = Server(tmp_path / "results", "--cases-per-person", "5", "--checks", "1")
    head = b"POST /join HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nconsent="
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as visitor:
            visitor.sendall(head)
    assert httpx.get(server.url).status_code == 200
    assert server.stop() == ""


def test_a_form_that_is_half_sent_when_the_server_ends_leaves_no_word(tmp_path: Path) -> None:
    make_results(tmp_path / "results", ("aurora", "borealis"), cases_per_task=2, size=(96, 64))
    server = Server(tmp_path / "results", "--cases-per-person", "5", "--checks", "1")
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        head = "POST /vote HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 9\r\n"
        slow.sendall(f"{head}expect: 100-continue\r\n\r\n".encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 100")  # the form is being read
        slow.sendall(b"half")
        said = server.stop()
    assert "Traceback" not in said and "Exception" not in said
