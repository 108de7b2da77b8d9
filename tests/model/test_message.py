"""Quotations and positions, against expectations worked out by hand."""

from __future__ import annotations

import pytest
import torch

from step1x_edit.model.message import Piece, Special, place, split_paired, split_toggled, tokenise
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.records import Grid

SPECIAL = Special(picture=5, vision_end=4, texts=("<|end|>", "<|pic|>"))
IDS = {"<|end|>": 4, "<|pic|>": 5}


def to_ids(text: str) -> list[int]:
    """Special tokens as above, every other character as its code point."""
    ids: list[int] = []
    while text:
        token = next((token for token in IDS if text.startswith(token)), text[0])
        ids.append(IDS.get(token) or ord(token))
        text = text[len(token) :]
    return ids


def toggled(text: str, first: int = 0) -> list[str]:
    pieces = split_toggled(text, first)
    assert all(piece.quoted == (piece.text[0] == "“" and len(piece.text) == 3) for piece in pieces)
    return [piece.text for piece in pieces]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no quotes", ["no quotes"]),
        ('say "Hi!" now', ['say "', "“H”", "“i”", "“!”", '" now']),
        ("写“你好”。", ['写"', "“你”", "“好”", '"。']),
        ("say 'a b'", ['say "', "“a”", "“ ”", "“b”", '"']),
        ('"a" to "b"', ['"', "“a”", '" to "', "“b”", '"']),
        ("don't", ['don"', "“t”"]),  # an apostrophe opens a quotation, as published
        ('""', ['"', '"']),
        ("", []),
    ],
)
def test_toggled(text: str, expected: list[str]) -> None:
    assert toggled(text) == expected


def test_toggled_from_a_character_on() -> None:
    assert toggled('a "b" "c"', first=5) == ['a "b" "', "“c”", '"']
    assert toggled('a "b" "c"', first=4) == ['a "b"', "“ ”", '"c"']  # the first mark that counts opens


def paired(text: str, first: int = 0) -> list[tuple[str, bool]]:
    return [(piece.text, piece.quoted) for piece in split_paired(text, first, SPECIAL.texts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no quotes", [("no quotes", False)]),
        ('say "Hi" now', [('say "', False), ("H", True), ("i", True), ('" now', False)]),
        ("写“你好”。", [("写“", False), ("你", True), ("好", True), ("”。", False)]),
        ("don't 'a'", [("don't 'a'", False)]),  # single marks are letters
        ('a “b" c', [('a “b" c', False)]),  # never closed: ordinary text
        ('"“a”"', [('"', False), ("“", True), ("a", True), ("”", True), ('"', False)]),
        ('"a" "b', [('"', False), ("a", True), ('" "b', False)]),
        ("“a”", [("a", True), ("”", False)]),  # a curly mark with nothing before it is left out
        ('x<|pic|>"a"<|end|>', [("x", False), ("<|pic|>", False), ('"', False), ("a", True), ('"', False), ("<|end|>", False)]),
        ('"a<|pic|>b"', [('"a', False), ("<|pic|>", False), ('b"', False)]),
    ],
)
def test_paired(text: str, expected: list[tuple[str, bool]]) -> None:
    assert paired(text) == expected


def test_paired_from_a_character_on() -> None:
    assert paired('"p" x "a"', first=4) == [('"p" x "', False), ("a", True), ('"', False)]
    assert paired('<|end|>"p" "a"', first=10) == [("<|end|>", False), ('"p" "', False), ("a", True), ('"', False)]


def test_without_quotes_nothing_is_cut() -> None:
    layout = PRESETS["mini"].message
    tokens = tokenise('<|pic|><|end|>"ab"', layout, "", to_ids, SPECIAL, [Grid(1, 2)])
    assert tokens.ids == [5, 5, 4, *map(ord, '"ab"')] and not any(tokens.quoted)


def test_the_marks_around_a_character_are_dropped() -> None:
    """And what lies before the picture's end stays as it was: the quotation of the prefix is not cut."""
    layout = PRESETS["v1.1"].message
    text = "x" * 150 + "“p”" + "<|pic|><|end|>" + "“é”"
    tokens = tokenise(text, layout, "", to_ids, SPECIAL, [Grid(2, 1)])
    assert tokens.ids == [ord("x")] * 150 + [ord("“"), ord("p"), ord("”"), 5, 5, 4, ord('"'), ord("é"), ord('"')]
    assert not any(tokens.quoted)


def test_merged_marks_are_kept() -> None:
    def merging(text: str) -> list[int]:
        return [1000, ord("”")] if text == "“é”" else to_ids(text)

    tokens = tokenise("<|end|>" + "x" * 150 + "'é'", PRESETS["v1.0"].message, "", merging, SPECIAL, [])
    assert tokens.ids[-4:] == [ord('"'), 1000, ord("”"), ord('"')]


def test_quoted_characters_are_marked() -> None:
    tokens = tokenise('pre "a" <|pic|><|end|>', PRESETS["v1.2"].message, "pre", to_ids, SPECIAL, [Grid(1, 3)])
    assert tokens.ids == [*map(ord, 'pre "a" '), 5, 5, 5, 4]
    assert [i for i, quoted in enumerate(tokens.quoted) if quoted] == [5]


def test_places() -> None:
    """Two dropped tokens, one kept before and one after a picture of 2 x 3 vision tokens, 84 x 56 pixels for the MLLM as for us."""
    placed = place([9, 9, 9, *[5] * 6, 9], 5, [Grid(2, 3)], [(84, 56)], slice(2, 100))
    times = [2 - 7] + [3 - 7] * 6 + [6 - 7]  # the picture begins at 3 and takes max(2, 3) instants; the last is 6
    assert placed[:, 0].tolist() == times
    rows = [(28 * i + 13.5 - 11) / 16 for i in range(2)]
    columns = [(28 * i + 13.5 - 11) / 16 for i in range(3)]
    assert placed[[0, -1], 1:].abs().max() == 0
    torch.testing.assert_close(placed[1:-1, 1:], torch.tensor([[r, c] for r in rows for c in columns]))


def test_places_in_a_larger_picture_and_in_the_second() -> None:
    placed = place([5, 9, 5, 5], 5, [Grid(1, 1), Grid(1, 2)], [(28, 28), (111, 55)], slice(0, 4))
    assert placed[:, 0].tolist() == [-3, -2, -1, -1]
    pixel = [13.5 * 110 / 55, 41.5 * 110 / 55]  # corners lie on corners
    torch.testing.assert_close(placed[2:, 2], torch.tensor([(p - 11) / 16 for p in pixel]))
    torch.testing.assert_close(placed[2:, 1], torch.full((2,), (13.5 * 54 / 27 - 11) / 16))


def test_places_of_a_cut_text_end_at_minus_one() -> None:
    assert place([9] * 10, 5, [], [], slice(3, 7))[:, 0].tolist() == [-4, -3, -2, -1]
    assert place([9] * 2, 5, [], [], slice(3, 7)).shape == (0, 3)


def test_pieces_are_plain_unless_they_say_so() -> None:
    assert Piece("a") == Piece("a", quoted=False)
