"""Licences of pictures, read from the tables that people keep beside them: ATTRIBUTION.csv, tables in CREDITS.md or SOURCES.md, names.json.

A row names a file, or a folder with a slash at its end, which then speaks for all files in it that have no row of their own. Where only a
text without a table lies there, the credit points to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from step1x_edit.data.storage import walk
from step1x_edit.errors import UsageError
from step1x_edit.tables import read_csv

_TABLES = ("ATTRIBUTION.csv", "names.json", "CREDITS.md", "SOURCES.md")
_FILE = ("file", "folder", "filename", "file_name", "file name", "image")
_LICENCE, _AUTHOR, _SOURCE = ("licence", "license"), ("attribution", "author", "photographer"), ("source", "origin", "url")


@dataclass(frozen=True)
class Credit:
    """What a table says of a picture; empty where it says nothing."""

    licence: str = ""
    attribution: str = ""
    source: str = ""


def list_tables(folders: Iterable[Path]) -> list[Path]:
    """The tables in some folders and their subfolders, in the order in which they are believed."""
    found = [sorted(path for path in walk(folder) if path.name in _TABLES) for folder in folders]
    return [path for paths in found for name in _TABLES for path in paths if path.name == name]


class Credits:
    """The tables of some folders, looked up by file. A table in a folder knows the files of its subfolders too."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Read them; raises UsageError where an ATTRIBUTION.csv is no CSV, or has no column that names files."""
        self._rows: dict[Path, Credit] = {}
        for table in list_tables(folders):
            for name, credit in _read_table(table).items():
                self._rows.setdefault(table.parent / name, credit)
            if table.suffix == ".md":
                self._rows.setdefault(table.parent, Credit(source=f"see {table.name}"))

    def find(self, path: Path) -> Credit:
        """What is known of a file, by its own row or that of the nearest folder above it."""
        for place in (path, path.with_suffix(""), *path.parents):
            if place in self._rows:
                return self._rows[place]
        return Credit()


def _read_table(path: Path) -> dict[str, Credit]:
    if path.suffix == ".json":
        return _read_names(path)
    rows: Iterable[Mapping[str, str]]
    if path.suffix == ".csv":
        rows = [{key.strip().lower(): value or "" for key, value in row.items()} for row in read_csv(path)]
        if any(row.keys().isdisjoint(_FILE) for row in rows):
            raise UsageError(f"{path} has no column that names files; call one of them {', '.join(_FILE[:-1])} or {_FILE[-1]}.")
    else:
        rows = _read_markdown(path.read_text(encoding="utf-8-sig", errors="replace"))
    found = {}
    for row in rows:
        name = next((row[key] for key in _FILE if row.get(key)), "").strip().strip("`")
        if name and not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts:
            found[name.rstrip("/")] = Credit(_pick(row, _LICENCE), _pick(row, _AUTHOR), _pick(row, _SOURCE))
    return found


def _read_names(path: Path) -> dict[str, Credit]:
    """Entries of a `names.json` that state a licence, by the stem of their file."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return {}  # whoever needs the names says what is wrong with it
    found = {}
    for stem, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and (licence := _pick(entry, _LICENCE)):
            found[stem] = Credit(licence, _pick(entry, _AUTHOR), _pick(entry, _SOURCE))
    return found


def _pick(row: Mapping[str, Any], words: tuple[str, ...]) -> str:
    """The column that is named by one of the words, else the first whose name holds one."""
    for fits in (lambda key: key in words, lambda key: any(word in key for word in words)):
        for key, value in row.items():
            if fits(key):
                return str(value or "").strip()
    return ""


def _read_markdown(text: str) -> Iterable[Mapping[str, str]]:
    """Rows of all pipe tables, by their headings in small letters."""
    heading: list[str] | None = None
    for line in text.splitlines():
        if not line.lstrip().startswith("|"):
            heading = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if heading is None:
            heading = [cell.lower() for cell in cells]
        elif not all(set(cell) <= set(":- ") for cell in cells):
            yield dict(zip(heading, cells, strict=False))
