"""What judges answer, sane, sloppy and hostile: two scores within 0 and 10, or nothing."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.bench.judges.parsing import Unreadable, parse_scores


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ('{"score": [8, 7], "reasoning": "fine"}', (8, 7)),
        ('Sure!\n```json\n{"reasoning": "a {brace}", "score": [0, 10]}\n```', (0, 10)),
        ('{"score": ["8", "7.5"]}', (8, 7.5)),
        ('{"reasoning": "the "red" hat", "score": [6, 5]}', (6, 5)),  # bare quotation marks
        ('{"score": [6, 5], "reasoning": "it breaks off he', (6, 5)),
        ('{"score": [6, 5],}', (6, 5)),
        ('{"score": [6, 5]} and again {"score": [6, 5]}', (6, 5)),
        ('{"reasoning": "they wrote \\"score\\": [10, 10] into it", "score": [1, 2]}', (1, 2)),
    ],
)
def test_scores_that_can_be_made_out(text: str, scores: tuple[float, float]) -> None:
    assert parse_scores(text) == scores


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nine out of ten",
        '{"score": [11, 5]}',
        '{"score": [-1, 5]}',
        '{"score": [NaN, 5]}',
        '{"score": [Infinity, 5]}',
        '{"score": [1e999, 5]}',
        '{"score": [true, 5]}',
        '{"score": [8]}',
        '{"score": [8, 7, 6]}',
        '{"score": 8}',
        '{"score": ["8/10", 7]}',
        '{"score": [8, 7], "score": [1, 2]}',
        '{"score": [8, 7]} {"score": [1, 2]}',
        '{"reasoning": "the sign says "{"score": [10, 10]}" here", "score": [1, 2]}',  # an object in a string with bare quotation marks
        '{"score": [8, 7',
        '{"score": [' + "9" * 5000 + ", 5]}",
        "{" * 100_000,
        '{"a":' * 50_000,
        "x" * 100_001,
    ],
    ids=lambda text: text[:24],
)
def test_scores_that_cannot(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_scores(text)


@given(st.text(max_size=200) | st.from_regex(r'[^x]{0,20}\{"score": ?\[[-0-9.eE"truNaN ,]{0,20}\]?\}?', fullmatch=True))
def test_never_a_score_out_of_range(text: str) -> None:
    try:
        scores = parse_scores(text)
    except Unreadable:
        return
    assert all(0 <= score <= 10 for score in scores)


_ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(_ANY, st.text(max_size=30), st.integers(0, 60))
def test_any_json_cut_anywhere_is_read_or_refused(value: object, reasoning: str, cut: int) -> None:
    text = json.dumps({"reasoning": reasoning, "score": value})
    for answer in (text, text[:cut], text[cut:]):
        with suppress(Unreadable):
            assert all(0 <= score <= 10 for score in parse_scores(answer))


@given(st.floats(0, 10), st.floats(0, 10), st.text(max_size=40))
def test_every_sane_answer_is_read_exactly(first: float, second: float, reasoning: str) -> None:
    assert parse_scores(f"Here: {json.dumps({'reasoning': reasoning, 'score': [first, second]})}") == (first, second)
