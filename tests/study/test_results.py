"""What was asked is read from tables, and a table that lacks something is told so."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from step1x_edit.errors import UsageError
from step1x_edit.study.results import COLUMNS, read_instructions


def test_a_parquet_file_says_what_it_lacks(tmp_path: Path) -> None:
    table = {column: [f"{column} {row}" for row in range(3)] for column in COLUMNS} | {"more": [1, 2, 3]}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "whole.parquet")
    assert read_instructions(tmp_path / "whole.parquet")["task_type 1", "instruction_language 1", "key 1"] == "instruction 1"
    del table["instruction_language"]
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "less.parquet")
    with pytest.raises(UsageError, match=r"less\.parquet has a row without instruction_language"):
        read_instructions(tmp_path / "less.parquet")
    (tmp_path / "half.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    with pytest.raises(UsageError, match="not a whole Parquet file"):
        read_instructions(tmp_path / "half.parquet")
