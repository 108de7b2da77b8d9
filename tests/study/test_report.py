"""The report is one file that asks for nothing else, says what the figures say, and survives any name."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from study_votes import ballot, check, record, simulate

from step1x_edit.errors import UsageError
from step1x_edit.study.analysis import Findings, find_all
from step1x_edit.study.ballots import Record
from step1x_edit.study.report import choose_ticks, draw_chart, format_interval, format_number, render_report, summarise, write_report
from step1x_edit.study.statistics import Estimate

VOID = {"meta", "line", "circle", "br", "link", "img", "input"}


class Reader(HTMLParser):
    """Collects text, attributes and unclosed elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def study() -> tuple[Record, Findings]:
    rng = np.random.default_rng(0)
    votes = simulate(rng, [4.0, 6.0, 8.0], people=12, cases=4, together=2)
    votes += [check(person, passed=person > 2) for person in range(1, 13)]
    held = record(votes, systems=3)
    return held, find_all(held, resamples=200)


def test_it_asks_for_nothing_else(study: tuple[Record, Findings]) -> None:
    read = Reader(render_report(*study))
    assert read.open == []
    assert not [
        a for a in read.attributes if a[1] in ("src", "href", "srcset", "action", "data", "poster") or a[0] in ("link", "img", "iframe")
    ]
    html = render_report(*study)
    assert "http" not in html and "url(" not in html and "@import" not in html
    assert len(html) < 100_000


def test_it_says_what_the_figures_say(study: tuple[Record, Findings]) -> None:
    held, findings = study
    text = " ".join(" ".join(Reader(render_report(held, findings)).texts).split())
    assert findings.attentive.systems == (3, 2, 1)
    for estimate in (
        *findings.attentive.means["overall"].full,
        *findings.attentive.means["identity"].common,
        *findings.attentive.strengths,
    ):
        assert format_interval(estimate) in text
    assert "10 people judged 3 systems blindly on 4 cases in 2 tasks. 2 more failed" in text
    assert "told apart" in text and "The order of the systems stays the same." in text
    assert format_interval(findings.everyone.means["overall"].full[0]) in text
    assert format_interval(findings.attentive.alpha["order"]) in text


def test_programs_find_the_same_figures_at_its_end(study: tuple[Record, Findings]) -> None:
    html = render_report(*study)
    found = json.loads(html.partition('id="figures">')[2].partition("</script>")[0])
    assert found == json.loads(json.dumps(summarise(*study)))
    best = study[1].attentive.means["overall"].full[0]
    assert found["attentive"]["systems"][0] == "system 3"
    assert found["attentive"]["means"]["overall"]["full"][0] == {"value": best.value, "low": best.low, "high": best.high}
    assert found["design"]["systems_per_screen"] == 3


def test_a_name_cannot_become_part_of_the_page() -> None:
    evil = '</script><script>alert("x")</script>&'
    held = record([ballot(1, 1, {1: 8, 2: 6}, task=evil)])
    held = Record(**{**vars(held), "title": evil, "systems": {1: evil, 2: "b" * 60}})
    read = Reader(render_report(held, find_all(held, resamples=100)))
    assert [a for a in read.attributes if a[0] == "script"] == [("script", "type", "application/json"), ("script", "id", "figures")]
    assert read.open == [] and any(evil in text for text in read.texts)


def test_gaps_are_dashes(tmp_path: Path) -> None:
    held = record([ballot(1, 1, {1: 8, 2: 6}, common=False)], systems=3)
    findings = find_all(held, resamples=100)
    write_report(held, findings, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "–" in html and "nan" not in html.lower()
    assert (
        json.loads(html.partition('id="figures">')[2].partition("</script>")[0])["attentive"]["means"]["overall"]["full"][2]["value"]
        is None
    )
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(UsageError, match="does not exist"):
        write_report(held, findings, tmp_path / "no" / "report.html")
    (tmp_path / "folder.html").mkdir()
    for folder in (tmp_path / "folder.html", Path("")):
        with pytest.raises(UsageError, match="is a folder"):
            write_report(held, findings, folder)


@pytest.mark.parametrize("few", [1, 2, 5])
def test_few_people_tell_nothing_of_others(few: int) -> None:
    held = record([ballot(1 + person, 1, {1: 8, 2: 6}, task="other" if person == 6 else "task") for person in range(7)])
    alone = record([each for each in held.ballots if each.person <= few])
    html = render_report(alone, find_all(alone, resamples=100))
    assert "too few people to tell" in html and "drawn anew:" not in html and 'class="range"' not in html and "<small" not in html
    all_ = find_all(held, resamples=100).attentive
    assert all_.leads[0].low > 0 and np.isnan(all_.means["overall"].by_task["other"][0].low)


def test_numbers_are_written_for_people() -> None:
    nothing = float("nan")
    assert format_number(-1.234) == "−1.23" and format_number(nothing) == "–" and format_number(3.0, 0) == "3"
    assert format_interval(Estimate(1, -1, 2.5), 1) == "1.0 [−1.0, 2.5]" and format_interval(Estimate(1, nothing, nothing)) == "1.00"


@pytest.mark.parametrize(("low", "high"), [(2, 10), (0.31, 0.33), (-3.7, 4.2), (5, 5), (1234, 99999), (6.0001, 6.9999)])
def test_ticks_are_round_and_enclose(low: float, high: float) -> None:
    ticks = choose_ticks(low, high)
    assert ticks[0] <= low + 1e-6 and ticks[-1] >= high - 1e-6 and 2 <= len(ticks) <= 9
    steps = np.diff(ticks)
    assert np.allclose(steps, steps[0]) and f"{steps[0]:.1e}"[:3] in ("1.0", "2.0", "2.5", "5.0")


def test_a_chart_draws_what_it_is_given() -> None:
    svg = str(draw_chart(["<a>", "b"], [Estimate(5, 4, 6), Estimate(float("nan"), float("nan"), float("nan"))]))
    assert svg.count('class="dot"') == 1 and svg.count('class="range"') == 1 and "&lt;a&gt;" in svg and "<a>" not in svg
