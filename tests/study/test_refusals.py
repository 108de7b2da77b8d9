"""What must not work: voting twice, out of order, for somebody else, out of range, through forged forms."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from html import unescape
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select
from study_hall import Hall, Visitor
from study_people import form_token

from step1x_edit.errors import UsageError
from step1x_edit.study.protection import read_public_url
from step1x_edit.study.store import JUDGEMENT, SCREEN, VOTE
from step1x_edit.study.texts import TEXTS

FORM_TYPE = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def person(hall: Hall) -> Visitor:
    """Somebody before their first comparison."""
    visitor = hall.enter()
    visitor.join()
    return visitor


def kept(hall: Hall) -> tuple[int, int, int]:
    """How many votes, judgements and screens there are."""
    with hall.engine.connect() as connection:
        votes, judgements, screens = (
            connection.execute(select(func.count()).select_from(table)).scalar_one() for table in (VOTE, JUDGEMENT, SCREEN)
        )
    return votes, judgements, screens


def refused(answer, status: int, reason: str) -> None:
    """The answer has this status, and says why in a sentence."""
    assert (answer.status_code, TEXTS["en"][reason] in unescape(answer.text)) == (status, True), answer.text[-600:]


def test_nobody_votes_twice(hall: Hall, person: Visitor) -> None:
    person.vote(overall_A="4")
    first = person.history[0]
    refused(person.post("/vote", first), 409, "already_voted")
    refused(person.post("/vote", first | {"overall_A": "10"}), 409, "already_voted")
    refused(person.post("/skip", first | {"reason": "undecided"}), 409, "already_voted")
    assert kept(hall) == (1, 3, 2)
    with hall.engine.connect() as connection:
        assert connection.execute(select(JUDGEMENT.c.overall).where(JUDGEMENT.c.slot == 0)).scalar_one() == 4


def test_nobody_votes_after_skipping(hall: Hall, person: Visitor) -> None:
    form = person.form()
    person.post("/skip", form | {"reason": "undecided"})
    refused(person.post("/vote", form), 409, "already_voted")
    assert kept(hall) == (1, 0, 2)


@pytest.mark.parametrize("position", ["2", "3", "999999"])
def test_nobody_votes_ahead(hall: Hall, person: Visitor, position: str) -> None:
    refused(person.post("/vote", person.form(position=position)), 409, "out_of_order")
    assert kept(hall) == (0, 0, 1)


def test_the_past_is_closed(hall: Hall, person: Visitor) -> None:
    person.vote()
    person.vote()
    refused(person.post("/vote", person.form(position="1")), 409, "already_voted")
    refused(person.post("/vote", person.form(position="0")), 409, "already_voted")
    assert kept(hall) == (2, 6, 3)


@pytest.mark.parametrize("position", ["", "-1", "1.5", "one", "１", "1" * 7, "1 "])
def test_a_position_is_a_number(hall: Hall, person: Visitor, position: str) -> None:
    refused(person.post("/vote", person.form(position=position)), 422, "malformed")
    assert kept(hall) == (0, 0, 1)


def test_who_has_finished_votes_no_more(hall: Hall, person: Visitor) -> None:
    last = person.finish()
    form = person.history[-1]
    refused(person.post("/vote", form | {"position": str(last + 1)}), 409, "out_of_order")
    refused(person.post("/vote", form), 409, "already_voted")
    assert kept(hall)[0] == last


def test_nobody_votes_for_somebody_else(hall: Hall, person: Visitor) -> None:
    other = hall.enter()
    other.join()
    victim = person.form()
    refused(other.post("/vote", victim), 403, "forged")  # the token is the victim's
    own = form_token(other.get("/compare").text)
    refused(other.post("/vote", victim | {"form_token": own}), 403, "another_person")  # the comparison is
    refused(other.post("/skip", victim | {"form_token": own, "reason": "undecided"}), 403, "another_person")
    refused(other.post("/vote", other.form(nonce="")), 403, "another_person")
    refused(other.post("/vote", other.form(nonce="ü")), 403, "another_person")
    assert kept(hall) == (0, 0, 2)
    assert person.post("/vote", victim).status_code == 303


def test_a_stranger_votes_not_at_all(hall: Hall, person: Visitor) -> None:
    stranger = hall.enter()
    own = form_token(stranger.get("/").text)
    refused(stranger.post("/vote", person.form() | {"form_token": own}), 403, "unknown_person")
    stranger.client.cookies.clear()
    refused(stranger.post("/vote", person.form()), 403, "forged")
    assert kept(hall) == (0, 0, 1)


@pytest.mark.parametrize("scale", ["overall", "identity"])
@pytest.mark.parametrize("rating", ["0", "1", "3", "11", "12", "-2", "2.0", "1e1", " 4", "ten", "２", "010", "NaN"])
def test_ratings_out_of_range(hall: Hall, person: Visitor, scale: str, rating: str) -> None:
    refused(person.vote(**{f"{scale}_B": rating}), 422, "rating_out_of_range")
    assert kept(hall) == (0, 0, 1)


@pytest.mark.parametrize("place", ["0", "4", "-1", "1.0", "first", "٢"])
def test_places_out_of_range(hall: Hall, person: Visitor, place: str) -> None:
    refused(person.vote(place_A=place), 422, "place_out_of_range")
    assert kept(hall) == (0, 0, 1)


def test_results_that_were_not_shown(hall: Hall, person: Visitor) -> None:
    for name in ("overall_D", "identity_D", "place_F", "overall_aurora", "place_"):
        refused(person.vote(**{name: "2"}), 422, "unknown_result")
    assert kept(hall) == (0, 0, 1)


def test_a_form_with_gaps_comes_back_as_it_was(hall: Hall, person: Visitor) -> None:
    form = person.form(overall_A="10", overall_C="6")
    del form["overall_B"]
    answer = person.post("/vote", form)
    refused(answer, 422, "rating_missing")
    assert 'name="overall_A" value="10" required checked' in answer.text and 'name="overall_C" value="6" required checked' in answer.text
    assert 'name="overall_B"' in answer.text and "<option selected>3</option>" in answer.text
    del (form := person.form())["place_C"]
    refused(person.post("/vote", form), 422, "place_missing")
    assert kept(hall) == (0, 0, 1)
    assert person.vote().status_code == 303


def test_a_form_that_cannot_be_saved_just_now_comes_back_as_it_was(open_hall: Callable[..., Hall], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("step1x_edit.study.writer.MOST_WAITING", 1)
    hall = open_hall()
    visitor = hall.enter()
    visitor.join()
    busy, go_on = threading.Event(), threading.Event()
    writer = hall.service._writer
    assert writer is not None
    jobs = [writer.submit(lambda connection: busy.set() or go_on.wait())]
    busy.wait(10)
    jobs.append(writer.submit(lambda connection: None))
    answer = visitor.vote(overall_A="10")
    go_on.set()
    wait(jobs)
    refused(answer, 503, "busy")
    assert answer.headers["retry-after"] and 'name="overall_A" value="10" required checked' in answer.text
    assert visitor.vote().status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://[::1"},
        {"origin": "http://a]b"},
        {"origin": "http://testserver.evil.example"},
        {"origin": "http://evil.example:80@testserver.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_forms_of_other_sites(hall: Hall, person: Visitor, headers: dict[str, str]) -> None:
    for path, form in (("/vote", person.form()), ("/skip", person.form(reason="undecided")), ("/delete", person.form())):
        refused(person.post(path, form, headers=headers), 403, "forged")
    refused(person.post("/language", person.form(language="cn", back="/compare"), headers=headers), 403, "forged")
    assert kept(hall) == (0, 0, 1)


def test_own_forms_pass(hall: Hall, person: Visitor) -> None:
    assert person.post("/vote", person.form(), headers={"origin": "http://testserver", "sec-fetch-site": "same-origin"}).status_code == 303


def test_behind_a_proxy_the_public_address_counts(open_hall: Callable[..., Hall]) -> None:
    hall = open_hall(public_url="https://study.example.org")
    visitor = hall.enter()
    visitor.client.base_url = "https://internal"
    visitor.join()
    assert "https://study.example.org/continue/" in visitor.get("/welcome").text
    assert visitor.post("/vote", visitor.form(), headers={"origin": "https://study.example.org"}).status_code == 303
    refused(visitor.post("/vote", visitor.form(), headers={"origin": "https://other.example.org"}), 403, "forged")
    assert visitor.get("/compare").headers["strict-transport-security"]


def test_the_public_address_is_what_browsers_call_it() -> None:
    assert read_public_url("HTTPS://Study.Example.org:443/") == "https://study.example.org"
    assert read_public_url("http://[::1]:8100") == "http://[::1]:8100"
    tails = ["?a=1", "#a", "/study", ":x", ":1:2", "@elsewhere.example"]
    for text in (
        "https://",
        "http://[",
        "https:///",
        "study.example.org",
        "ftp://a",
        *("https://study.example.org" + tail for tail in tails),
    ):
        with pytest.raises(UsageError, match="not of the form https://HOST"):
            read_public_url(text)


@pytest.mark.parametrize("token", ["", "0" * 40, "ü"])
def test_forms_without_a_good_token(hall: Hall, person: Visitor, token: str) -> None:
    refused(person.post("/vote", person.form(form_token=token)), 403, "forged")
    form = person.form()
    del form["form_token"]
    refused(person.post("/vote", form), 403, "forged")
    assert kept(hall) == (0, 0, 1)


def test_forms_that_are_none(hall: Hall, person: Visitor) -> None:
    form = person.form()
    client = person.client
    refused(client.post("/vote", json=form), 415, "malformed")
    refused(client.post("/vote", content=urlencode(form), headers={"content-type": "text/plain"}), 415, "malformed")
    refused(client.post("/vote", files={"file": b"x"}, data=form), 415, "malformed")
    refused(client.post("/vote", content="x=" + "y" * 20000, headers=FORM_TYPE), 413, "too_large")
    refused(client.post("/vote", content="é=1".encode(), headers=FORM_TYPE), 422, "malformed")
    refused(client.post("/vote", content="&".join(f"a{i}=1" for i in range(70)), headers=FORM_TYPE), 422, "malformed")
    twice = urlencode(form) + "&overall_A=10"
    refused(client.post("/vote", content=twice, headers=FORM_TYPE), 422, "malformed")
    assert kept(hall) == (0, 0, 1)


def test_a_link_of_another_site_changes_nothing(hall: Hall, person: Visitor) -> None:
    for path in ("/vote", "/skip", "/join", "/language"):
        assert person.get(path).status_code == 405
    person.get("/delete")
    assert kept(hall) == (0, 0, 1)
