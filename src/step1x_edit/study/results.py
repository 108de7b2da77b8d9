"""Read the results of several systems from folders in the published layout, and the instructions that they answer.

A system's folder holds `fullset/<task>/<language>/<key>.png` and, beside each result, its source `<key>_SRCIMG.png`. The folder's name
is the system's. Instructions come from a file of cases (Parquet, CSV or JSON Lines, with the columns of the benchmark's dataset) or from
the published score tables. A case that cannot be shown is left out with its reason.

Source: reference facts, "GEdit-Bench facts".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from step1x_edit.errors import UsageError
from step1x_edit.tables import read_csv, read_json_lines, read_whole_text

FULL_SET = "fullset"
SOURCE_ENDING = "_SRCIMG"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
ASKED = "cases.jsonl"
"""What was asked, in a folder that `step1x bench run` wrote."""
COLUMNS = ("task_type", "instruction_language", "key", "instruction")
"""Of a file of cases: those of the benchmark's dataset."""
CASE_FILES = ("cases.parquet", "cases.csv", ASKED)
SCORE_TABLES = "*_score.csv"

CaseName = tuple[str, str, str]
"""Task, language, key."""


@dataclass(frozen=True)
class StudyCase:
    """One edit that several systems made.

    Attributes:
        task: one of the benchmark's tasks.
        language: language of the instruction, "en" or "cn".
        key: the case's name within its task.
        instruction: what was asked.
        source: the picture before.
        results: system name -> the picture after; at least two.
    """

    task: str
    language: str
    key: str
    instruction: str
    source: Path
    results: Mapping[str, Path]


@dataclass(frozen=True)
class Collection:
    """Everything that can be shown.

    Attributes:
        systems: names, in the order given.
        cases: sorted by task, language and key.
        left_out: cases that cannot be shown -> why.
    """

    systems: tuple[str, ...]
    cases: tuple[StudyCase, ...]
    left_out: Mapping[CaseName, str]

    def is_common(self, case: StudyCase) -> bool:
        """Whether every system answered: the intersection subset (Source: GEdit-Bench facts)."""
        return len(case.results) == len(self.systems)

    def intersection(self) -> Collection:
        """The cases that every system answered; the others are left out."""
        common = tuple(case for case in self.cases if self.is_common(case))
        if not common:
            raise UsageError(f"No case was answered by all of {_join(self.systems)}; leave out a system, or take the full set.")
        others = {(c.task, c.language, c.key): "not every system answered" for c in self.cases if not self.is_common(c)}
        return Collection(self.systems, common, {**self.left_out, **others})


def read_results(folders: Sequence[Path], cases_file: Path | None = None) -> Collection:
    """Read the result folders of at least two systems.

    Args:
        folders: folders of one system each, or folders that hold such folders.
        cases_file: the instructions; None looks for `CASE_FILES` and score tables in the folders and beside them.

    Raises:
        UsageError: a folder is missing or in another layout, two systems have one name, or there is nothing to compare.
    """
    systems = _find_systems(folders)
    if len(systems) < 2:
        raise UsageError(f"A study compares at least two systems, and {_join(systems)} is the only one found; give more folders.")
    found: dict[CaseName, dict[str, Path]] = defaultdict(dict)
    sources: dict[CaseName, Path] = {}
    for system, folder in systems.items():
        for name, picture, is_source in _walk(folder / FULL_SET):
            if is_source:
                sources.setdefault(name, picture)
            else:
                found[name][system] = picture
    instructions = read_instructions(cases_file) if cases_file else _find_instructions(systems.values())
    differing = _find_differing(systems.values())
    cases, left_out = [], {}
    for name in sorted(found):
        if reason := _reason_against(name, found[name], sources, instructions, differing):
            left_out[name] = reason
        else:
            cases.append(StudyCase(*name, instructions[name], sources[name], dict(found[name])))
    if not cases:
        reason = next(iter(left_out.values()), "there are no pictures")
        raise UsageError(f"{_join(systems)} have no case in common that could be compared ({reason}).")
    return Collection(tuple(systems), tuple(cases), left_out)


def read_instructions(file: Path) -> dict[CaseName, str]:
    """Instructions by case, from a Parquet, CSV or JSON Lines file, or from a folder of Parquet files.

    Raises:
        UsageError: there is no such file, or it lacks a column or a value, or it is no such table.
    """
    if file.is_dir():
        parts = sorted(file.rglob("*.parquet"))
        if not parts:
            raise UsageError(f"The folder {file} holds no .parquet files with cases; give a file of cases.")
        return {name: text for part in parts for name, text in read_instructions(part).items()}
    if not file.is_file():
        raise UsageError(f"There is no file of cases {file}; give a Parquet, CSV or JSON Lines file.")
    readers = {".parquet": _read_parquet, ".csv": read_whole_text, ".jsonl": read_whole_text}
    if file.suffix not in readers:
        raise UsageError(f"{file} does not end in .parquet, .csv or .jsonl; give the cases as one of these.")
    instructions: dict[CaseName, str] = {}
    for row in readers[file.suffix](file):
        values = [row.get(column) for column in COLUMNS]
        if any(value is None or value == "" for value in values):
            raise UsageError(f"{file} has a row without {COLUMNS[values.index(None) if None in values else values.index('')]}; add it.")
        task, language, key, instruction = map(str, values)
        instructions[task, language, key] = instruction
    return instructions


def _find_systems(folders: Sequence[Path]) -> dict[str, Path]:
    systems: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; give the folders with the systems' results.")
        children = sorted(child for child in folder.iterdir() if (child / FULL_SET).is_dir())
        for system in [folder] if (folder / FULL_SET).is_dir() else children:
            name = system.resolve().name
            if name in systems:
                raise UsageError(f"Two result folders are called {name}; rename one, since the folder's name is the system's.")
            systems[name] = system
        if folder not in systems.values() and not children:
            raise UsageError(f"{folder} holds no results: expected {FULL_SET}/<task>/<language>/<key>.png in it or in its folders.")
    return systems


def _walk(folder: Path) -> Iterator[tuple[CaseName, Path, bool]]:
    """Every picture of a system: its case, its file, and whether it is the source."""
    for picture in sorted(folder.glob("*/*/*")):
        if picture.suffix.lower() in PICTURES and not picture.name.startswith("."):
            key = picture.stem.removesuffix(SOURCE_ENDING)
            yield (picture.parts[-3], picture.parts[-2], key), picture, picture.stem.endswith(SOURCE_ENDING)


def _reason_against(
    name: CaseName,
    results: Mapping[str, Path],
    sources: Mapping[CaseName, Path],
    instructions: Mapping[CaseName, str],
    differing: Set[CaseName],
) -> str:
    if len(results) < 2:
        return "only one system answered"
    if name in differing:
        return "the systems were asked different things"
    if name not in sources:
        return f"no source picture {name[2]}{SOURCE_ENDING}.png beside the results"
    if name not in instructions:
        return "no instruction; give the file of cases with --cases"
    return ""


def _find_differing(folders: Iterable[Path]) -> set[CaseName]:
    """Cases of one name whose instruction or picture is not the same in all folders that tell what was asked in them."""
    asked: dict[CaseName, set[tuple[object, object]]] = defaultdict(set)
    for folder in folders:
        if (file := folder / ASKED).is_file():
            for row in read_json_lines(file):
                name = str(row.get("task_type")), str(row.get("instruction_language")), str(row.get("key"))
                asked[name].add((row.get("instruction"), row.get("source_sha256")))
    return {name for name, each in asked.items() if len(each) > 1}


def _find_instructions(folders: Iterable[Path]) -> dict[CaseName, str]:
    instructions: dict[CaseName, str] = {}
    for place in dict.fromkeys(place for folder in folders for place in (folder, folder.resolve().parent)):
        for table in sorted(place.glob(SCORE_TABLES)):
            instructions = _read_score_table(table) | instructions
        for name in CASE_FILES:
            if (place / name).is_file():
                instructions = read_instructions(place / name) | instructions
    return instructions


def _read_score_table(file: Path) -> dict[CaseName, str]:
    """Instructions out of a published score table, whose picture paths end in `<task>/<language>/<key>.png`."""
    instructions: dict[CaseName, str] = {}
    for row in read_csv(file):
        picture = PurePosixPath(str(row.get("edited_image") or ""))
        if len(picture.parts) >= 3 and row.get("instruction"):
            instructions[picture.parts[-3], picture.parts[-2], picture.stem] = str(row["instruction"])
    return instructions


def _read_parquet(file: Path) -> Iterator[Mapping[str, object]]:
    import pyarrow
    import pyarrow.parquet

    try:
        present = pyarrow.parquet.read_schema(file).names
        table = pyarrow.parquet.read_table(file, columns=[column for column in COLUMNS if column in present])
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{file} is not a whole Parquet file; get a new copy of it.") from error
    yield from table.to_pylist()


def _join(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
