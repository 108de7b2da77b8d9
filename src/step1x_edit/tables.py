"""Rows of the text tables in which benchmarks are kept: CSV with a header, and JSON Lines, both UTF-8."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from step1x_edit.errors import UsageError


def read_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    """Its rows, by the names of the columns; raises UsageError where it is not CSV in UTF-8, or a row has cells of no column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows: csv.DictReader[Any] = csv.DictReader(lines)
            for row in rows:
                if any(row.pop(None, ())):
                    raise UsageError(
                        f"{path} has more cells in line {rows.line_num} than columns; put text with commas in quotation marks."
                    )
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file in UTF-8; save it as one.") from error


def read_json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Its objects, line by line; raises UsageError where a line is not one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # other ends of lines, such as U+2028, may stand inside JSON's texts
        rows = [json.loads(line) for line in lines if line.strip()]
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON Lines in UTF-8: every line must be one JSON object.") from error
    for row in rows:
        if not isinstance(row, dict):
            raise UsageError(f"{path} is not JSON Lines in UTF-8: every line must be one JSON object.")
        yield row


def read_whole_text(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a .jsonl or .csv; raises UsageError as the two above, or where JSON escapes half of a character (\\ud83d), no text."""
    for row in read_json_lines(path) if path.suffix == ".jsonl" else read_csv(path):
        for name, value in row.items():
            if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
                raise UsageError(f"{path} has a row whose {name} holds half of a character ({value[:40]!r}); write it in whole ones.")
        yield row
