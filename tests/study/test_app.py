"""Taking part: consent, comparing in order, skipping, pausing, going on elsewhere, two languages, and the end."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select
from study_hall import DESIGN, Hall, Visitor
from study_people import form_token, read_page

from step1x_edit.study.answers import SKIP_REASONS, close_gaps
from step1x_edit.study.assignment import CLAIM_SECONDS, Design
from step1x_edit.study.store import JUDGEMENT, PERSON, VOTE
from step1x_edit.study.texts import LANGUAGES, TEXTS, choose_language


def count(hall: Hall, table) -> int:
    with hall.engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def joined(hall: Hall, language: str = "en") -> Visitor:
    visitor = hall.enter()
    assert visitor.join(language).status_code == 303
    return visitor


def test_a_person_takes_part_from_consent_to_thanks(hall: Hall) -> None:
    person = hall.enter()
    assert TEXTS["en"]["consent_agree"] in person.get("/").text
    answer = person.join()
    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome")
    assert person.link in person.get("/welcome").text
    for position in range(1, DESIGN.screens + 1):
        page = person.get("/compare")
        assert f"{position} of {DESIGN.screens}" in page.text
        answer = person.vote()
        assert (answer.status_code, answer.headers["location"]) == (303, "/compare")
    assert f"Your {DESIGN.screens} comparisons are saved" in person.get("/compare").text
    assert count(hall, VOTE) == DESIGN.screens and count(hall, JUDGEMENT) == 3 * DESIGN.screens


def test_what_was_said_is_what_is_kept(hall: Hall) -> None:
    person = joined(hall)
    person.vote(place_A="2", place_B="2", place_C="1", overall_A="10", overall_B="2", overall_C="4", identity_A="6", identity_B="6")
    with hall.engine.connect() as connection:
        rows = connection.execute(select(JUDGEMENT).order_by(JUDGEMENT.c.slot)).all()
    assert [(row.slot, row.place, row.overall, row.identity) for row in rows] == [(0, 2, 10, 6), (1, 2, 2, 6), (2, 1, 4, 8)]


def test_places_are_counted_without_gaps() -> None:
    assert close_gaps((1, 3, 3, 6)) == (1, 2, 2, 3)


def test_without_consent_nothing_is_kept(hall: Hall) -> None:
    person = hall.enter()
    answer = person.join(consent="")
    assert answer.status_code == 422 and "tick the box" in answer.text
    assert person.get("/compare").headers["location"] == "/"
    assert person.join(language="xx").status_code == 422
    assert count(hall, PERSON) == 0


def test_joining_again_in_one_browser_is_the_same_person(hall: Hall) -> None:
    person = hall.enter()
    form = {"form_token": form_token(person.get("/").text), "consent": "yes", "language": "en"}
    person.post("/join", form)
    assert person.get("/").headers["location"] == "/compare"
    assert person.post("/join", form | {"form_token": person.form()["form_token"]}).headers["location"] == "/compare"
    assert count(hall, PERSON) == 1


def test_a_skipped_comparison_makes_room_for_the_next(hall: Hall) -> None:
    person = joined(hall)
    before = read_page(person.get("/compare").text)
    for reason in ("", "boring"):
        assert person.post("/skip", person.form() | {"reason": reason}).status_code == 422
    assert count(hall, VOTE) == 0
    for number, reason in enumerate(SKIP_REASONS, 1):
        assert person.post("/skip", person.form() | {"reason": reason}).status_code == 303
        assert read_page(person.get("/compare").text).position == number + 1
    assert set(before.pictures).isdisjoint(read_page(person.get("/compare").text).pictures)
    assert count(hall, VOTE) == len(SKIP_REASONS) and count(hall, JUDGEMENT) == 0


def test_a_private_link_goes_on_elsewhere(hall: Hall) -> None:
    phone, laptop, other = joined(hall), hall.enter(), joined(hall)
    phone.vote()
    pause = phone.get("/break").text
    assert f"1 of {DESIGN.screens} comparisons" in pause and f"/continue/{phone.link}" in pause
    for browser in (laptop, other):
        question = browser.get(f"/continue/{phone.link}")
        assert ("somebody else" in question.text) == (browser is other)
        assert browser.get("/compare").text != phone.get("/compare").text, "asking alone changes nothing"
        form = {"form_token": form_token(question.text), "link": phone.link}
        assert browser.post("/continue", form).headers["location"] == "/compare"
        assert read_page(browser.get("/compare").text) == read_page(phone.get("/compare").text)
    assert laptop.vote().status_code == 303
    assert phone.get("/compare").text.count("3 of") == 1
    assert laptop.get("/continue/guess").status_code == 404
    form = {"form_token": laptop.form()["form_token"], "link": "guess"}
    assert laptop.post("/continue", form).status_code == 404


def test_everything_is_said_in_both_languages(hall: Hall) -> None:
    person = hall.enter()
    assert TEXTS["cn"]["consent_button"] in person.get("/", headers={"accept-language": "zh-CN,zh;q=0.9,en;q=0.8"}).text
    assert TEXTS["cn"]["consent_button"] in person.get("/?language=cn").text
    person.join("cn")
    page = person.get("/compare").text
    assert TEXTS["cn"]["next"] in page and "号房子重新刷漆" in page and '<html lang="zh-Hans">' in page
    form = {"form_token": form_token(page), "language": "en", "back": "/break"}
    assert person.post("/language", form).headers["location"] == "/break"
    assert TEXTS["en"]["next"] in person.get("/compare").text
    assert person.post("/language", form | {"back": "//elsewhere.example"}).headers["location"] == "/compare"
    assert person.post("/language", form | {"language": "xx"}).status_code == 422


def test_who_is_not_let_in_reads_why_in_the_language_chosen_and_can_change_it(hall: Hall) -> None:
    person = hall.enter()
    page = person.get("/?language=cn").text
    (door,) = re.findall(r'action="(/join[^"]*)"', page)
    refused = person.post(door, {"form_token": form_token(page), "consent": "", "language": "cn"})
    assert refused.status_code == 422 and TEXTS["cn"]["no_consent"] in refused.text
    for address in re.findall(r'href="([^"]*\?[^"]*)"', refused.text):
        assert person.get(str(refused.url.join(address))).status_code == 200, address


def test_the_languages_say_the_same_things() -> None:
    english, chinese = (TEXTS[language] for language in LANGUAGES)
    assert english.keys() == chinese.keys()
    for key in english:
        assert [english[key].count("{" + name + "}") for name in ("letter", "total", "answered", "what", "place")] == [
            chinese[key].count("{" + name + "}") for name in ("letter", "total", "answered", "what", "place")
        ], key
    assert [choose_language(accepted) for accepted in ("", "fr, zh-TW;q=0.5", "de, en-GB", "*")] == ["en", "cn", "en", "en"]


def test_the_study_ends_when_it_has_all_votes(open_hall: Callable[..., Hall]) -> None:
    hall = open_hall(design=Design(4, 1, 6, 0, 0))
    assert [joined(hall).finish() for _ in range(2)] == [6, 6]
    late = hall.enter().join()
    assert late.status_code == 409 and TEXTS["en"]["study_complete"] in late.text
    assert joined(hall, "cn").finish() == 6, "cases of the other language are still open"
    assert count(hall, PERSON) == 3


def test_who_finds_all_that_is_left_claimed_waits_and_goes_on(open_hall: Callable[..., Hall], monkeypatch: pytest.MonkeyPatch) -> None:
    hall = open_hall(design=Design(4, 1, 12, 0, 0))
    first, *others = [joined(hall) for _ in range(12)]
    late = hall.enter().join()
    assert late.status_code == 409 and TEXTS["en"]["study_claimed"] in late.text
    first.vote()
    waiting = first.get("/compare")
    assert TEXTS["en"]["wait_title"] in waiting.text and waiting.headers["refresh"]
    assert first.post("/vote", first.history[0]).status_code == 409
    others[0].vote()
    late_clock = SimpleNamespace(time=lambda: time.time() + CLAIM_SECONDS + 1)
    monkeypatch.setattr("step1x_edit.study.voting.time", late_clock)
    assert first.finish() == 10
    assert TEXTS["en"]["done_title"] in first.get("/compare").text
    assert hall.enter().join().status_code == 409


def test_the_server_goes_on_where_it_was(open_hall: Callable[..., Hall]) -> None:
    first = open_hall()
    person = joined(first)
    person.vote()
    shown = read_page(person.get("/compare").text)
    second = open_hall()
    same = second.enter()
    same.client.cookies.set(person.cookie, person.link)
    assert read_page(same.get("/compare").text) == shown, "open pages stay good, too"
    assert same.vote().status_code == 303


def test_a_place_in_one_study_outlasts_joining_another_on_the_same_machine(open_hall: Callable[..., Hall], tmp_path: Path) -> None:
    """Browsers send the cookies of a host to each of its ports."""
    person = joined(open_hall())
    before = read_page(person.get("/compare").text)
    elsewhere = open_hall(database=tmp_path / "another.db").enter()
    elsewhere.client.cookies = person.client.cookies
    assert form_token(elsewhere.get("/").text) and elsewhere.get("/compare").headers["location"] == "/"
    consent = {"form_token": form_token(elsewhere.get("/").text), "consent": "yes", "language": "en"}
    assert elsewhere.post("/join", consent).status_code == 303
    person.client.cookies.update(elsewhere.client.cookies)
    assert read_page(elsewhere.get("/compare").text) != before == read_page(person.get("/compare").text)


def test_every_vote_of_many_at_once_is_kept_once(hall: Hall) -> None:
    people = [joined(hall) for _ in range(8)]
    forms = [person.form() for person in people]

    def press_twice(index: int) -> list[int]:
        with ThreadPoolExecutor(3) as pool:
            return sorted(pool.map(lambda _: people[index].post("/vote", forms[index]).status_code, range(3)))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press_twice, range(8)))
    assert answers == [[303, 409, 409]] * 8
    assert count(hall, VOTE) == 8 and count(hall, JUDGEMENT) == 24


@pytest.mark.parametrize("path", ["/welcome", "/compare", "/break"])
def test_who_has_not_joined_is_sent_to_the_beginning(hall: Hall, path: str) -> None:
    assert hall.enter().get(path).headers["location"] == "/"


def test_pages_that_are_not_there_are_said_not_to_be(hall: Hall) -> None:
    person = joined(hall)
    for path in ("/admin", "/docs", "/openapi.json", "/static/study.css", "/static/../app.py", "/static/..%2fapp.py", "/picture/x"):
        answer = person.get(path)
        assert answer.status_code == 404 and TEXTS["en"]["not_found"] in answer.text, path
    assert person.get("/vote").status_code == 405
    assert person.get("/delete").status_code == 200 and hall.enter().get("/delete").status_code == 403


def test_a_failure_shows_no_insides(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    person = joined(hall)

    def fail(*_: object) -> bytes:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(hall.service.gallery, "read", fail)
    answer = person.get(f"/picture/{read_page(person.get('/compare').text).pictures[1]}")
    assert answer.status_code == 500 and "secret" not in answer.text and TEXTS["en"]["failure"] in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
