"""Published score tables, in and out: one CSV file a system and task, with the columns and the spelling of the published ones.

A missing judgement is an empty cell. Source: reference facts, "GEdit-Bench facts".
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from step1x_edit.bench.gedit import TASKS, CaseName, read_flag, write_text
from step1x_edit.bench.scores import CaseScore
from step1x_edit.errors import UsageError

COLUMNS = (
    "source_image",
    "edited_image",
    "instruction",
    "sementics_score",
    "quality_score",
    "intersection_exist",
    "instruction_language",
)
ENDING = "_score.csv"
RECORD = "judge.json"
"""Beside the tables that we write: who judged how, and why what is missing is missing."""

_NAME = re.compile(rf"(.+)_({'|'.join(TASKS)})_[^_]+{re.escape(ENDING)}")
"""A table's name; the task is the last one in it, since a system may be called after one."""


def name_table(system: str, task: str) -> str:
    """The published name of a table."""
    return f"{system}_{task}_gpt{ENDING}"


@dataclass(frozen=True)
class TableSet:
    """The tables of one system by one judge, which lie in one folder."""

    system: str
    folder: Path
    tables: tuple[tuple[str, Path], ...]

    @property
    def judge(self) -> str:
        """The folder's name: who judged."""
        return self.folder.resolve().name

    @cached_property
    def record(self) -> Mapping[str, object]:
        """What is kept beside the tables; empty where nothing is."""
        return _read_record(self.folder)

    @property
    def known_judge(self) -> str:
        """The judge where tables are ours; empty for those of others, whose folders are called as it happens."""
        return self.judge if self.record else ""

    @property
    def rubric(self) -> str:
        """What the judge was asked by; empty where that is not kept beside the tables."""
        return f"{self.record.get('rubric')} ({self.record.get('rubric_digest')})" if "rubric_digest" in self.record else ""


def find_tables(folder: Path) -> list[TableSet]:
    """Score tables in a folder and below it, by system and judge."""
    found: dict[tuple[str, Path], list[tuple[str, Path]]] = {}
    for path in sorted(folder.rglob(f"*{ENDING}")):
        if match := _NAME.fullmatch(path.name):
            system, task = match.groups()
            found.setdefault((system, path.parent), []).append((task, path))
    return [TableSet(system, parent, tuple(tables)) for (system, parent), tables in found.items()]


def read_set(found: TableSet) -> list[CaseScore]:
    """Read the tables of one system, with the judge and the reasons for what is missing where they are kept beside them.

    See `read_tables`.
    """
    kept, judge = found.record.get("missing"), found.known_judge
    reasons = kept if isinstance(kept, dict) else {}
    return [
        replace(case, judge=judge, reason=case.reason if case.known else str(reasons.get("/".join(case.name)) or case.reason))
        for case in read_tables(found.tables)
    ]


def read_tables(tables: Iterable[tuple[str, Path]]) -> list[CaseScore]:
    """Read the tables of one system.

    Raises:
        UsageError: a file is no such table, a score is out of range, or a case appears twice.
    """
    cases: dict[CaseName, CaseScore] = {}
    for task, path in tables:
        for case in _read_table(task, path):
            if case.name in cases:
                raise UsageError(f"{path} holds the case {'/'.join(case.name)} a second time; score one table of each task.")
            cases[case.name] = case
    return sorted(cases.values(), key=lambda case: case.name)


def write_tables(folder: Path, system: str, cases: Sequence[CaseScore]) -> list[Path]:
    """Write one table a task; each appears whole."""
    written = []
    for task in TASKS:
        rows = [case for case in cases if case.task == task]
        if not rows:
            continue
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for case in rows:
            edited = case.edited or f"{system}/fullset/{task}/{case.language}/{case.key}.png"
            scores = ("" if value is None else repr(float(value)) for value in (case.sc, case.pq))
            writer.writerow([case.source, edited, case.instruction, *scores, case.intersection, case.language])
        path = folder / name_table(system, task)
        write_text(path, text.getvalue())
        written.append(path)
    return written


def drop_other_tables(folder: Path, system: str, facts: Mapping[str, object]) -> None:
    """Remove our tables of a judge, where it was asked otherwise before, by other `facts`, or the system's folder had another name.

    Figures by different facts must not be averaged, and no system counts twice. What the judge answered stays, so that the same tables can
    be made again at no cost.
    """
    record = _read_record(folder)
    if not record:
        return
    wanted = json.loads(json.dumps(dict(facts)))
    otherwise = {name: record.get(name) for name in wanted} != wanted
    for path in folder.glob(f"*{ENDING}"):
        match = _NAME.fullmatch(path.name)
        if otherwise or (match and match[1] != system):
            path.unlink()


def _read_record(folder: Path) -> Mapping[str, object]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # tables of other tools have none, or one of their own
        return {}
    return record if isinstance(record, dict) else {}


def _read_table(task: str, path: Path) -> list[CaseScore]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if absent:
                raise UsageError(f"{path} lacks the column {absent[0]}; it is not a published score table.")
            return [_read_row(task, path, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file in UTF-8; save it as one.") from error


def _read_row(task: str, path: Path, row: Mapping[str, str | None]) -> CaseScore:
    values = {column: row[column] or "" for column in COLUMNS}
    if None in (row[column] for column in COLUMNS):
        raise UsageError(f"{path} has a row that is cut off ({values['edited_image']}); get or make the table again.")
    edited = PurePosixPath(values["edited_image"].replace("\\", "/"))
    sc, pq = (_read_score(values[column], path) for column in ("sementics_score", "quality_score"))
    reason = "" if sc is not None and pq is not None else "no score in the table"
    return CaseScore(
        task=task,
        language=values["instruction_language"],
        key=edited.stem,
        sc=sc,
        pq=pq,
        intersection=bool(read_flag(values["intersection_exist"])),
        instruction=values["instruction"],
        reason=reason,
        source=values["source_image"],
        edited=values["edited_image"],
    )


def _read_score(text: str, path: Path) -> float | None:
    if text.strip().lower() in ("", "nan", "none", "null"):
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise UsageError(f"{path} has the score {text!r}, which is no number.") from error
    if not math.isfinite(value) or not 0 <= value <= 10:
        raise UsageError(f"{path} has the score {text}, which is not within 0 and 10.")
    return value
