"""The report: one file, nothing loaded from elsewhere, nothing of a case's text taken for markup, nothing missing hidden."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

from browsing import CHROMIUM, DRIVER, open_browser
from step1x_edit.bench.calls import Limits, Prices
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.radar import draw_radar
from step1x_edit.bench.report import write_report
from step1x_edit.bench.running import run_system
from step1x_edit.bench.score_tables import write_tables
from step1x_edit.bench.scores import CaseScore
from step1x_edit.bench.systems import Settings, open_system
from step1x_edit.cli.main import run

HOSTILE = '<script>alert("x")</script> & more'


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture
def page(make_cases: Callable[..., list[BenchCase]], tmp_path: Path) -> str:
    cases = make_cases(1)
    for system, value in (("one", 3.0), ("two", 6.0)):
        opened = open_system("leave-as-is", Settings())
        run_system(opened, cases, tmp_path / system, limits=Limits(), prices=Prices())
        scores = [CaseScore(c.task, c.language, c.key, value, value, True, HOSTILE) for c in cases[1:]]
        scores.append(CaseScore(*cases[0].name, None, 5.0, True, HOSTILE, "it refused"))
        write_tables(tmp_path / system / "scores" / "judge", system, scores)
    assert run(["bench", "report", str(tmp_path), "--out", str(tmp_path / "report.html"), "--title", HOSTILE]) == 0
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_is_whole_and_stands_alone(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.tags.count("script") == 1
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in reader.links)
    assert all(f'id="{link[1:]}"' in page for link in reader.links if link.startswith("#"))
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", page)
    assert reader.tags.count("svg") == 4
    assert reader.tags.count("input") >= 4
    for words in ("Worst cases of one", "Missing cases", "no score in the table", "step1x bench report", "3.000", "6.000", "7.494"):
        assert words in page


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromium-driver are not installed")
def test_the_slider_uncovers_what_was_before(page: str, tmp_path: Path) -> None:
    with open_browser(tmp_path / "profile") as driver:
        driver.get((tmp_path / "report.html").as_uri())
        slide = driver.find_element(By.CSS_SELECTOR, ".slide")
        after, knob = slide.find_element(By.CLASS_NAME, "after"), slide.find_element(By.TAG_NAME, "input")
        assert after.value_of_css_property("clip-path") == "inset(0px 0px 0px 50%)"
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", slide)
        width = slide.size["width"]
        ActionChains(driver).click_and_hold(knob).move_by_offset(width // 4, 0).release().perform()
        covered = re.fullmatch(r"inset\(0px 0px 0px (\d+)%\)", after.value_of_css_property("clip-path"))
        assert covered is not None and 70 <= int(covered[1]) <= 80
        pictures = slide.find_elements(By.TAG_NAME, "img")
        assert {(p.size["width"], p.size["height"]) for p in pictures} == {(width, slide.size["height"])}, "one lies over the other"
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_words_that_look_like_figures_are_words() -> None:
    cases = [CaseScore("ps_human", "en", words, None, None, instruction=words, reason="refused") for words in ("②", "3 cats")]
    page = write_report({"s": cases}, {}, [])
    assert '<td class="words">②</td>' in page and '<td class="words">3 cats</td>' in page


def test_a_gap_is_not_a_zero() -> None:
    chart = draw_radar(["a", "b", "c"], {"s": {"a": 5.0, "c": 10.0}})
    assert chart.count("<circle") == 2
    assert chart.count('stroke-width="2"') == 1
