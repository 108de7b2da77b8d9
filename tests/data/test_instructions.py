"""Wordings: many, in both languages, complete, and kept out in part."""

from __future__ import annotations

import random
import re
import string

import pytest

from step1x_edit.data.instructions import CLAUSES, list_wordings, phrase
from step1x_edit.data.instructions.typos import SLIPS, mistype
from step1x_edit.data.stream import TripletStream
from step1x_edit.types import EditCategory

PREFIXES: dict[EditCategory, str] = {
    EditCategory.SUBJECT_ADDITION: "addition",
    EditCategory.SUBJECT_REMOVAL: "removal",
    EditCategory.SUBJECT_REPLACEMENT: "replacement",
    EditCategory.BACKGROUND_CHANGE: "background",
    EditCategory.COLOR_ALTERATION: "colour",
    EditCategory.MATERIAL_MODIFICATION: "material",
    EditCategory.TEXT_MODIFICATION: "text",
    EditCategory.MOTION_CHANGE: "motion",
    EditCategory.PORTRAIT_EDITING: "portrait",
    EditCategory.STYLE_TRANSFER: "style",
    EditCategory.TONE_TRANSFORMATION: "tone",
}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("category", list(EditCategory))
def test_each_category_has_many_wordings(category: EditCategory, language: str) -> None:
    families = [clauses for key, clauses in CLAUSES.items() if key.split()[0] == PREFIXES[category]]
    trained = {wording for clauses in families for wording in list_wordings(clauses, language, "train")}
    kept_out = {wording for clauses in families for wording in list_wordings(clauses, language, "heldout")}
    assert len(trained) >= 40
    assert not trained & kept_out
    assert len(kept_out) >= 5


def test_one_wording_in_ten_is_kept_out() -> None:
    counts = {
        part: sum(len(list_wordings(clauses, language, part)) for clauses in CLAUSES.values() for language in ("en", "zh"))
        for part in ("train", "heldout")
    }
    assert 0.08 < counts["heldout"] / sum(counts.values()) < 0.12


def test_nobody_is_asked_to_become_what_the_picture_is_to_become() -> None:
    wordings = {text for clauses in CLAUSES.values() for part in ("train", "heldout") for text in list_wordings(clauses, "zh", part)}
    assert not [text for text in wordings if re.search("(你|帮我|帮忙|我想|给我|麻烦|请|你能|试着)变", text)]
    assert not [text for text in wordings if re.match("给我[给让使]", text)]
    assert {"变成夜晚", "能变成夜晚吗？", "我想让你把它变成夜晚", "帮我把它变成卡通"} <= wordings


@pytest.mark.parametrize("key", list(CLAUSES))
def test_each_family_can_be_asked_in_both_parts_and_languages(key: str) -> None:
    for part in ("train", "heldout"):
        for language in ("en", "zh"):
            assert list_wordings(CLAUSES[key], language, part)
    assert all(re.search("[\u4e00-\u9fff]", clause) for clause in CLAUSES[key].zh)
    assert not any(re.search("[\u4e00-\u9fff]", clause) for clause in CLAUSES[key].en)
    for clauses in (CLAUSES[key].en, CLAUSES[key].zh):
        assert len(set(clauses)) == len(clauses)


def test_no_bare_clause_has_two_meanings() -> None:
    seen: dict[str, str] = {}
    for key, clauses in CLAUSES.items():
        for clause in (*clauses.en, *clauses.zh):
            assert seen.setdefault(clause, key) == key, clause


def test_every_field_of_an_instruction_is_filled(stream: TripletStream) -> None:
    for category in EditCategory:
        one = stream.variant(size=32, mixture={category: 1}, difficulty=1.0)
        for index in range(30):
            triplet = one.sample(index)
            assert not fields(triplet.instruction_en)
            assert not fields(triplet.instruction_zh)


def test_phrases_vary_and_repeat_with_the_generator() -> None:
    clauses = CLAUSES["removal"]
    facts = {"subject": "the zebra"}, {"subject": "斑马"}
    texts = {phrase(random.Random(seed), clauses, *facts, "train") for seed in range(300)}
    assert len({english for english, _ in texts}) > 100
    assert len({chinese for _, chinese in texts}) > 100
    assert phrase(random.Random(5), clauses, *facts, "train") == phrase(random.Random(5), clauses, *facts, "train")


def test_quoted_words_are_never_mistyped() -> None:
    facts = {"word": "STOP", "other": "OPEN", "colour": "red", "place": "at the top"}
    for seed in range(400):
        english, _ = phrase(random.Random(seed), CLAUSES["text replace"], facts, facts, "train")
        assert "STOP" in english
        assert "OPEN" in english


def test_a_colour_that_begins_with_a_vowel_has_its_article() -> None:
    facts = {"subject": "the cat", "colour": "orange", "other": "red"}
    texts = {phrase(random.Random(seed), CLAUSES["background plain"], facts, facts, "train")[0] for seed in range(200)}
    assert any("an orange background" in text for text in texts)
    assert not any("a orange" in text for text in texts)


def test_chinese_slips_change_one_word_and_never_a_quoted_one() -> None:
    seen = set()
    for seed in range(60):
        slipped = mistype(random.Random(seed), "请把“请把”的颜色换成红色")
        assert "“请把”" in slipped
        seen.add(slipped)
    assert {"清把“请把”的颜色换成红色", "请把“请把”的言色换成红色", "请把“请把”得颜色换成红色"} <= seen
    assert mistype(random.Random(0), "好") == "好"
    assert all(len(right) == len(wrong) and sum(a != b for a, b in zip(right, wrong, strict=True)) == 1 for right, wrong in SLIPS)


def test_strong_tones_grade_adjectives_as_chinese_does() -> None:
    strong = [text for key, clauses in CLAUSES.items() if key.startswith("tone ") and key.endswith(" much") for text in clauses.zh]
    assert "让色调明显更暖" in strong
    assert not [text for text in strong if re.search("大幅|非常.*一些", text)]


def test_slight_tones_say_by_how_much() -> None:
    slight = [text for key, clauses in CLAUSES.items() if key.startswith("tone ") and key.endswith(" slightly") for text in clauses.zh]
    assert {"让画面稍微亮一点", "把颜色调得略微暖一些"} <= set(slight)
    assert all(re.search("稍微.+一点$|略微.+一些$", text) for text in slight)
