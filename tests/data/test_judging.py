"""The judge's marks decide last, and are kept with the triplet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat_service import serve_chat

from step1x_edit.data.building import build
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.shards import read_records
from step1x_edit.data.storage import read_lines

GOOD = '{"followed": 9, "kept": 8, "natural": 7, "clean": 9}'


def judged(recipe: DataRecipe, url: str) -> DataRecipe:
    values = json.loads(recipe.model_dump_json()) | {"count": 3, "categories": {"tone_transfer": {"share": 1}}}
    return DataRecipe.model_validate(values | {"judge": {"endpoint": {"url": url, "model": "m"}, "least": 6}})


def test_marks_are_kept(recipe: DataRecipe, tmp_path: Path) -> None:
    with serve_chat(lambda text, pictures: f"Here: {GOOD}") as service:
        build(judged(recipe, service.url), tmp_path / "set")
    for record, _ in read_records(tmp_path / "set"):
        assert record.numbers["judge"] == {"followed": 9, "kept": 8, "natural": 7, "clean": 9}
        assert any(record.instruction_en in question for question in service.asked)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ('{"followed": 9, "kept": 8, "natural": 2, "clean": 9}', 'the judge gives too few marks for "natural"'),
        ("I cannot say", "the judge's answer cannot be read"),
    ],
)
def test_too_few_marks_reject_with_the_reason(recipe: DataRecipe, tmp_path: Path, bad: str, reason: str) -> None:
    seen: list[str] = []

    def answer(text: str, pictures: list[object]) -> str:
        first = text.partition("\n\nAnswer with the JSON object and nothing else.")[0]
        if first not in seen:
            seen.append(first)
        return bad if seen.index(first) % 2 == 0 else GOOD

    with serve_chat(answer) as service:
        facts = build(judged(recipe, service.url), tmp_path / "set")
    assert facts["count"] == 3
    rejected = [row for row in read_lines(tmp_path / "set" / "rejected.jsonl") if row["stage"] == "judge"]
    assert rejected
    assert {row["reason"] for row in rejected} == {reason}
