"""Rows of the text tables in which benchmarks are kept: CSV with a header, and JSON Lines, both UTF-8."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from step1x_edit.errors import UsageError


def read_csv(path: Path) -> Iterator[Mapping[str, Any]]:
    """Its rows, by the names of the columns; raises UsageError where it is not CSV in UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from csv.DictReader(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file in UTF-8; save it as one.") from error


def read_json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Its objects, line by line; raises UsageError where a line is not one."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # other ends of lines, such as U+2028, may stand inside JSON's texts
        rows = [json.loads(line) for line in lines if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path} is not JSON Lines in UTF-8: every line must be one JSON object.") from error
    for row in rows:
        if not isinstance(row, dict):
            raise UsageError(f"{path} is not JSON Lines in UTF-8: every line must be one JSON object.")
        yield row
