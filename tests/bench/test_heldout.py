"""Scores of edits whose true result is known, against values worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from step1x_edit.bench.heldout import BEST_PSNR, MARKED, Case, Score, draw_cases, score, shows_its_own, tabulate
from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

EXAMPLES = Path(__file__).parents[2] / "examples"


def make_case(language: str = "en") -> Case:
    """2 x 2 pixels, black; the left column is to become 100."""
    source = np.zeros((2, 2, 3), np.uint8)
    region = np.array([[True, False], [True, False]])
    target = source.copy()
    target[region] = 100
    return Case(Triplet(source, target, region, EditCategory.COLOR_ALTERATION, "english", "中文", "", "", ""), language)


def test_the_true_result_is_perfect() -> None:
    case = make_case()
    made = score(case, case.triplet.target)
    assert (made.squared, made.absolute, made.outside, made.success) == (0, 0, BEST_PSNR, True)


def test_leaving_the_picture_is_no_edit() -> None:
    case = make_case()
    made = score(case, case.triplet.source)
    assert (made.squared, made.absolute, made.outside, made.success) == (1, 1, BEST_PSNR, False)


def test_an_edit_half_done_and_spilled() -> None:
    case = make_case()
    edited = case.triplet.source.copy()
    edited[:, 0] = 50  # half of the way: a quarter of the squared error
    edited[:, 1] = 51  # a fifth of the range: 20 log10 5 dB
    made = score(case, edited)
    assert made.squared == 0.25 and made.absolute == 0.5 and made.success
    assert made.outside == pytest.approx(20 * np.log10(5))


def test_an_edit_nearer_to_another_result_is_not_the_one_asked_for() -> None:
    case = make_case()
    other = case.triplet.source.copy()
    other[:, 0] = (100, 100, 0)
    case = replace(case, others=(case.triplet.source, other))
    edited = case.triplet.source.copy()
    edited[:, 0] = (100, 100, 40)
    made = score(case, edited)
    assert made.squared == pytest.approx(0.12) and not made.told_apart and not made.success
    assert score(case, case.triplet.target).success


def test_whole_picture_edits_have_no_outside() -> None:
    triplet = make_case().triplet
    whole = Triplet(triplet.source, triplet.target, np.ones((2, 2), np.bool_), EditCategory.TONE_TRANSFORMATION, "a", "b", "", "", "")
    assert score(Case(whole, "en"), triplet.target).outside is None


def test_the_instruction_is_in_the_language_asked() -> None:
    assert make_case("en").instruction == "english"
    assert make_case("zh").instruction == "中文"


def test_cases_are_drawn_evenly_and_always_the_same(stream_of_three: TripletStream) -> None:
    cases = list(draw_cases(stream_of_three, 4))
    assert {case.triplet.parameters["family"].split()[0] for case in cases} == {"tone", "style", "removal"}
    counts = {c: [k.language for k in cases if k.triplet.category is c] for c in stream_of_three.categories}
    assert all(sorted(languages) == ["en", "en", "zh", "zh"] for languages in counts.values())
    again = list(draw_cases(stream_of_three, 4))
    assert [c.triplet.parameters for c in cases] == [c.triplet.parameters for c in again]


def test_cases_may_have_any_proportions(stream_of_three: TripletStream) -> None:
    for case in draw_cases(stream_of_three, 2, aspect=1.5):
        height, width = case.triplet.source.shape[:2]
        size = stream_of_three.size
        assert (width, height) == (pytest.approx(size * 1.5**0.5, abs=1), pytest.approx(size / 1.5**0.5, abs=1))
        assert all(other.shape == case.triplet.source.shape for other in case.others)


def test_pictures_that_give_no_such_case_end_the_search(stream_of_three: TripletStream) -> None:
    stream = stream_of_three.variant(size=32, mixture={EditCategory.TONE_TRANSFORMATION: 1.0}, difficulty=0.0)
    with pytest.raises(UsageError, match="do not give 1 cases of tone_transfer"):
        list(draw_cases(stream, 1, lambda triplet: False))


def test_cases_may_be_of_things_photographed_where_they_stand() -> None:
    cases = list(draw_cases(draw_stream("marked", dict.fromkeys(MARKED, 1.0)), 4, shows_its_own))
    assert Counter(case.triplet.category for case in cases) == dict.fromkeys(MARKED, 4)
    names = json.loads((EXAMPLES / "marked/names.json").read_text(encoding="utf-8"))
    for case in cases:
        (subject,) = case.triplet.parameters["subjects"]
        name = names[f"{subject['subject']}.mask"]["en"]
        assert case.triplet.source_caption.startswith((f"a {name} ", f"an {name} ", f"{name} "))


def draw_stream(photos: str, mixture: dict[EditCategory, float]) -> TripletStream:
    split = Split.read(EXAMPLES.parent / "recipes/mini_heldout.toml")
    return TripletStream([EXAMPLES / photos], [EXAMPLES / "cutouts"], split=split, part="heldout", size=48, seed=3, mixture=mixture)


@pytest.fixture
def stream_of_three() -> TripletStream:
    return draw_stream(
        "photos", dict.fromkeys((EditCategory.TONE_TRANSFORMATION, EditCategory.STYLE_TRANSFER, EditCategory.SUBJECT_REMOVAL), 1.0)
    )


def test_the_table_counts_shares_and_means() -> None:
    tone, colour = EditCategory.TONE_TRANSFORMATION, EditCategory.COLOR_ALTERATION
    scores = [
        Score(tone, "tone night", "en", 0.1, 0.3, None),
        Score(tone, "tone night", "zh", 0.5, 0.7, None),
        Score(tone, "tone winter", "en", 0.3, 0.5, None, told_apart=False),
        Score(colour, "colour", "zh", 0.49, 0.9, 20.0),
        Score(colour, "colour", "zh", 2.0, 1.1, 30.0),
    ]
    rows, families = (
        [[cell.strip() for cell in line.strip("|").split("|")] for line in tabulate(scores, by).splitlines()[2:]] for by in (False, True)
    )
    assert [row[:3] for row in families] == [["colour", "2", "0.50"], ["tone night", "2", "0.50"], ["tone winter", "1", "0.00"]]
    assert rows == [
        ["color_alter", "2", "0.50", "-", "0.50", "1.00", "1.25", "1.00", "25.0"],
        ["tone_transfer", "3", "0.33", "0.50", "0.00", "0.67", "0.30", "0.50", "-"],
    ]
