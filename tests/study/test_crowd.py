"""Fifty-five simulated people with known preferences, from the consent page to the report; some of them in a real browser."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from study_crowd import PEOPLE, SCREENS, Crowd, check_report, hold_study

from browsing import CHROMIUM, DRIVER
from step1x_edit.cli.main import run

needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Crowd:
    """The study, with two people in the browser where there is one: one with the keyboard, one with the mouse."""
    return hold_study(tmp_path_factory.mktemp("crowd"), in_browser=2 if CHROMIUM and DRIVER else 0)


def call(*arguments: str) -> str:
    """Run the command in this process; what it said."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert run([str(each) for each in arguments]) == 0
    return said.getvalue()


def test_the_report_finds_the_known_order_and_means(crowd: Crowd, tmp_path: Path) -> None:
    said = call("study", "report", "--db", crowd.database, "--out", tmp_path / "report.html")
    assert said.splitlines()[0].startswith("north: ") and f"{tmp_path / 'report.html'}" in said
    check_report(crowd, (tmp_path / "report.html").read_text(encoding="utf-8"))


@needs_browser
def test_people_in_the_browser_get_to_the_end_with_keys_and_mouse(crowd: Crowd) -> None:
    assert crowd.answered[:2] == [SCREENS, SCREENS]


def test_the_server_says_nothing_about_anybody(crowd: Crowd) -> None:
    assert crowd.said == "", "no log of who came"


def test_all_answers_can_be_exported(crowd: Crowd, tmp_path: Path) -> None:
    for name in ("votes.csv", "votes.parquet"):
        assert f"{3 * SCREENS * PEOPLE} rows" in call("study", "export", "--db", crowd.database, "--out", tmp_path / name)


def test_the_next_study_can_be_planned_from_this_one(crowd: Crowd) -> None:
    said = call("study", "plan", "--difference", "0.5", "--pilot", crowd.database, "--cases", "12", "--systems", "3")
    assert "as in the pilot" in said and "--people-per-case" in said
