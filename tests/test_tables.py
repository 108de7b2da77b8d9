"""Text files as people's editors save them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step1x_edit.bench.gedit import read_cases
from step1x_edit.errors import UsageError
from step1x_edit.study.results import read_instructions
from step1x_edit.tables import read_csv, read_json_lines
from step1x_edit.toml_files import read_toml


def test_tables_and_toml_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('{"picture": "a.png"}\n', encoding="utf-8-sig")
    assert list(read_json_lines(path)) == [{"picture": "a.png"}]
    path.write_text("picture\na.png\n", encoding="utf-8-sig")
    assert list(read_csv(path)) == [{"picture": "a.png"}]
    path.write_text("seed = 1\n", encoding="utf-8-sig")
    assert read_toml(path, "recipe") == {"seed": 1}


@pytest.mark.parametrize("column", ["key", "instruction", "input_image"])
def test_cases_with_half_of_a_character_are_one_sentence(tmp_path: Path, column: str) -> None:
    case = {"task_type": "tone_transfer", "instruction_language": "cn", "key": "k", "instruction": "变成夜晚", "input_image": "a.jpg"}
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(case | {column: "a\ud83d"}), encoding="utf-8")
    said = rf"whose {column} holds half of a character \('a\\ud83d'\)"
    with pytest.raises(UsageError, match=said):
        read_cases(str(path))
    with pytest.raises(UsageError, match=said):
        read_instructions(path)
