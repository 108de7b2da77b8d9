"""Text files as people's editors save them."""

from __future__ import annotations

from pathlib import Path

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
