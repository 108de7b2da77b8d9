"""No tracking, no addresses, and a way out that leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import func, select
from study_hall import Hall, Visitor
from study_people import form_token

from step1x_edit.study.ballots import read_record
from step1x_edit.study.store import JUDGEMENT, PERSON, SCREEN, VOTE, digest_link
from step1x_edit.study.texts import TEXTS

TRACES = {
    "x-forwarded-for": "203.0.113.77",
    "user-agent": "Telltale/9.9",
    "referer": "https://forum.example/thread",
    "from": "me@example.org",
}


def joined(hall: Hall) -> Visitor:
    visitor = hall.enter()
    visitor.client.headers.update(TRACES)
    visitor.join()
    return visitor


def written(hall: Hall, folder: Path) -> bytes:
    """All bytes of the database's files."""
    return b"".join(file.read_bytes() for file in sorted(folder.glob("study.db*")))


def test_consent_says_what_is_kept_before_anything_is(hall: Hall) -> None:
    visitor = hall.enter()
    page = visitor.get("/").text
    for key in ("consent_keep_text", "consent_share_text", "consent_leave_text"):
        assert TEXTS["en"][key] in page
    assert "study@example.org" in page and 'name="consent" value="yes" required' in page and "checked" not in page
    with hall.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(PERSON)).scalar_one() == 0


def test_nothing_of_a_browser_is_kept(hall: Hall, tmp_path: Path) -> None:
    person = joined(hall)
    person.finish()
    files = written(hall, tmp_path)
    assert len(files) > 10000
    for trace in (*TRACES.values(), "testclient", "203.0.113", person.link):
        assert trace.encode() not in files, trace


def test_there_is_one_cookie_which_scripts_cannot_read(hall: Hall) -> None:
    visitor = hall.enter()
    cookies = [visitor.get("/").headers["set-cookie"], visitor.join().headers["set-cookie"]]
    for cookie in cookies:
        assert re.match(r"study-[0-9a-f]{12}=", cookie) and "HttpOnly" in cookie and "SameSite=lax" in cookie
    assert "Max-Age" not in cookies[0], "before consent it lasts as long as the window"
    for path in ("/welcome", "/compare", "/break"):
        assert "set-cookie" not in visitor.get(path).headers


def test_every_page_leads_to_the_way_out(hall: Hall) -> None:
    person = joined(hall)
    for path in ("/welcome", "/compare", "/break", "/privacy"):
        assert '<a href="/delete">' in person.get(path).text
    person.finish()
    assert '<a href="/delete">' in person.get("/compare").text


def test_deleting_leaves_nothing(hall: Hall, tmp_path: Path) -> None:
    person, other = joined(hall), joined(hall)
    for visitor in (person, other):
        visitor.vote()
        visitor.vote()
    link, nonce = person.link, person.history[0]["nonce"]
    assert digest_link(link).encode() in written(hall, tmp_path) and nonce.encode() in written(hall, tmp_path)
    answer = person.post("/delete", {"form_token": form_token(person.get("/delete").text)})
    assert answer.status_code == 303
    assert TEXTS["en"]["deleted_text"] in person.get(answer.headers["location"]).text
    with hall.engine.connect() as connection:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (PERSON, SCREEN, VOTE, JUDGEMENT)]
    assert counts == [1, 3, 2, 6]
    files = written(hall, tmp_path)
    assert digest_link(link).encode() not in files and nonce.encode() not in files, "nor in the log or in freed pages"
    assert digest_link(other.link).encode() in files
    stale = hall.enter()
    assert stale.get(f"/continue/{link}").status_code == 404
    stale.client.cookies.set(other.cookie, link)
    assert stale.get("/compare").headers["location"] == "/"
    assert len({ballot.person for ballot in read_record(hall.engine, "study").ballots}) == 1


def test_deleted_votes_are_asked_for_again(hall: Hall) -> None:
    person = joined(hall)
    votes = person.finish()
    needed = sum(hall.service.booth._ledger.needed(now=0).values())
    person.post("/delete", {"form_token": form_token(person.get("/delete").text)})
    assert sum(hall.service.booth._ledger.needed(now=0).values()) == needed + votes - 2  # a check and a repeat never counted


def test_deleting_asks_first_and_only_for_oneself(hall: Hall) -> None:
    person, other = joined(hall), joined(hall)
    token = form_token(person.get("/delete").text)
    assert other.post("/delete", {"form_token": token}).status_code == 403
    assert person.get("/delete").status_code == 200
    with hall.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(PERSON)).scalar_one() == 2
    person.post("/delete", {"form_token": token})
    assert person.post("/delete", {"form_token": token}).status_code == 403, "there is nobody left to delete"


def test_finished_numbers_say_nothing_of_when_somebody_came(hall: Hall) -> None:
    for index in range(6):
        joined(hall).vote(overall_A=str(2 * min(index, 4) + 2))
    orders = set()
    for _ in range(12):
        record = read_record(hall.engine, "study")
        orders.add(tuple(ballot.overall[0] for ballot in record.ballots))
    assert len(orders) > 2, "people are numbered anew at every reading"
