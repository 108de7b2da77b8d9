"""Number plates of many countries read like plates; words, prices and times on signs do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.lettering import WORDS
from step1x_edit.data.tools.plates import is_plate_text, select_plates
from step1x_edit.data.tools.protocols import Box, TextLine


@pytest.mark.parametrize(
    "text",
    ["AB12 CDE", "B-MW 1234", "M·AB 123", "AA-123-BB", "1234 BCD", "ABC 1234", "7ABC123", "12-AB-34", "KA 01 AB 1234", "A123BC77",
     "京A12345", "粤B·D12345", "粤B·1234学", "粤Z1234港", "京 A1234警", "使224·578", "SV 6264", "品川500 さ 12-34"],
)  # fmt: skip
def test_plates_of_many_countries(text: str) -> None:
    assert is_plate_text(text)
    assert is_plate_text(text.lower())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OPEN",
        "2024",
        "10:30",
        "STOP 50 METRES",
        "€ 12,50",
        "A1",
        "EXIT 4",
        "OPEN 9-5",
        "BUS 42",
        "A380",
        "24-7",
        "iPhone 15",
        "call 555 0199",
        "12345678",
    ],
)
def test_other_signs_are_not_plates(text: str) -> None:
    assert not is_plate_text(text)


@given(st.sampled_from([word for word in WORDS if not any(c.isdigit() for c in word)]))
def test_words_are_not_plates(word: str) -> None:
    assert not is_plate_text(word)


@given(st.text(max_size=30))
def test_any_text_is_taken(text: str) -> None:
    assert is_plate_text(text) in (True, False)


def test_a_plate_has_the_shape_of_one() -> None:
    wide, tall = Box(0, 0, 90, 20), Box(0, 0, 20, 90)
    lines = (TextLine(wide, "AB12 CDE", 0.9), TextLine(tall, "AB12 CDE", 0.9), TextLine(wide, "BAKERY", 0.9))
    assert [plate.box for plate in select_plates(lines)] == [wide]
