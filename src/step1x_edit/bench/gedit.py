"""GEdit-Bench as published: its tasks and languages, where its cases are read from, and the folders that results lie in.

Cases come from the hub's dataset, a Parquet file, or a folder: of Parquet files, or of pictures with `cases.jsonl` or `cases.csv` beside
them, which name the same columns as the dataset. Results of any tool lie in `<system>/fullset/<task>/<language>/<key>.png` with the source
`<key>_SRCIMG.png` beside it. Nothing here knows how a result is made or judged.

Source: reference facts, "GEdit-Bench facts".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from step1x_edit.errors import Step1XError, UsageError, first_line
from step1x_edit.tables import read_whole_text
from step1x_edit.types import EditCategory

HUB_DATASET = "stepfun-ai/GEdit-Bench"
HUB_PREFIX = "hf:"
FULL_SET = "fullset"
SOURCE_ENDING = "_SRCIMG"
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
CASE_FILES = ("cases.jsonl", "cases.csv")
LANGUAGES = ("en", "cn")
TASKS: tuple[str, ...] = tuple(sorted(category.value for category in EditCategory))
TASK_SIZES: dict[str, int] = {
    "background_change": 40,
    "color_alter": 40,
    "material_alter": 40,
    "motion_change": 40,
    "ps_human": 70,
    "style_change": 60,
    "subject-add": 60,
    "subject-remove": 57,
    "subject-replace": 60,
    "text_change": 99,
    "tone_transfer": 40,
}
"""How many cases the published benchmark has of each task; 606 in all, each in both languages."""

CaseName = tuple[str, str, str]
"""Task, language, key."""

_TEXT_COLUMNS = ("task_type", "key", "instruction", "instruction_language")


class Stored(Protocol):
    """A picture that is read when it is needed."""

    def read(self) -> bytes:
        """The bytes of its file."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A picture in a file of its own."""

    path: Path

    def read(self) -> bytes:
        """The bytes of the file."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise Step1XError(f"{self.path} cannot be read ({error.strerror or error}).") from error


@dataclass(frozen=True)
class StoredCell:
    """A picture in a column of a Parquet file."""

    path: Path
    group: int
    row: int
    column: str

    def read(self) -> bytes:
        """The bytes that the cell holds."""
        value = _read_column(self.path, self.group, self.column)[self.row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes):
            raise UsageError(f"{self.path} holds no picture in column {self.column}, row {self.row} of group {self.group}.")
        return data


@dataclass(frozen=True)
class BenchCase:
    """One question of the benchmark.

    Attributes:
        task: one of `TASKS`.
        language: "en" or "cn".
        key: name within the task; both languages of a question share it.
        instruction: what is asked.
        source: the picture to edit.
        shown: the picture that results are compared with; the dataset keeps it at a smaller size.
        intersection: whether every published system answered this case, where that is known.
        truth: where the true result is known: pictures by name, "target" and "region".
        facts: what else is known of a case whose truth is: the words in the picture, for instance.
    """

    task: str
    language: str
    key: str
    instruction: str
    source: Stored
    shown: Stored
    intersection: bool | None = None
    truth: Mapping[str, Stored] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> CaseName:
        """Task, language, key."""
        return self.task, self.language, self.key


def read_cases(place: str) -> list[BenchCase]:
    """Read cases, sorted by task, key and language.

    Args:
        place: `hf:` with the name of a dataset on the hub, the path of a Parquet, CSV or JSON Lines file, or a folder that holds such.

    Raises:
        UsageError: there is nothing of that name, a column or value is missing, or a case appears twice.
        Step1XError: the hub does not answer.
    """
    path = _download(place.removeprefix(HUB_PREFIX)) if place.startswith(HUB_PREFIX) else Path(place)
    cases: dict[CaseName, BenchCase] = {}
    for case in _read(path):
        if case.name in cases:
            raise UsageError(f"{place} holds the case {case.task}/{case.language}/{case.key} twice; remove one.")
        cases[case.name] = case
    if not cases:
        raise UsageError(f"{place} holds no cases.")
    return sorted(cases.values(), key=lambda case: (case.task, case.key, case.language))


def select_cases(
    cases: Iterable[BenchCase], tasks: Sequence[str] = (), languages: Sequence[str] = (), per_task: int | None = None
) -> list[BenchCase]:
    """The cases of some tasks and languages, and of each task the first `per_task` keys."""
    for asked, known, what in ((tasks, TASKS, "task"), (languages, LANGUAGES, "language")):
        for name in asked:
            if name not in known:
                raise UsageError(f"There is no {what} {name!r}; choose from {', '.join(known)}.")
    keys: dict[str, dict[str, None]] = {}
    chosen = []
    for case in cases:
        if (tasks and case.task not in tasks) or (languages and case.language not in languages):
            continue
        seen = keys.setdefault(case.task, {})
        if case.key in seen or per_task is None or len(seen) < per_task:
            seen[case.key] = None
            chosen.append(case)
    if not chosen:
        raise UsageError("No case is left by this choice of tasks and languages.")
    return chosen


def describe_cases(cases: Iterable[BenchCase]) -> dict[CaseName, dict[str, object]]:
    """What is asked, by case, as rows of a `cases.jsonl`, which `step1x study` reads too; of the source a checksum alone."""
    rows = {}
    for case in sorted(cases, key=lambda case: repr(case.source)):  # in the order of the files, since part of one may be read at once
        row: dict[str, object] = dict(zip(_TEXT_COLUMNS, (case.task, case.key, case.instruction, case.language), strict=True))
        if case.intersection is not None:
            row["Intersection_exist"] = case.intersection
        rows[case.name] = {**row, "source_sha256": sha256(case.source.read()).hexdigest()}
    return rows


def name_row(row: Mapping[str, Any]) -> CaseName:
    """Whose row of a `cases.jsonl` it is."""
    return str(row.get("task_type")), str(row.get("instruction_language")), str(row.get("key"))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise Step1XError(f"{path} could not be written ({error.strerror or error}).") from error


def place_result(folder: Path, name: CaseName) -> Path:
    """Where a system's result of a case belongs."""
    task, language, key = name
    return folder / FULL_SET / task / language / f"{key}.png"


def place_source(folder: Path, name: CaseName) -> Path:
    """Where the source lies beside a result."""
    result = place_result(folder, name)
    return result.with_name(f"{result.stem}{SOURCE_ENDING}.png")


def find_picture(path: Path) -> Path | None:
    """The file of that name with any ending that pictures have."""
    return next((found for ending in PICTURE_ENDINGS if (found := path.with_name(path.stem + ending)).is_file()), None)


def find_systems(folders: Sequence[Path]) -> dict[str, Path]:
    """Result folders by the system's name, which is the folder's.

    Args:
        folders: folders of one system each, or folders that hold such folders.

    Raises:
        UsageError: a folder is missing or holds no results, or two have one name.
    """
    systems: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; give a folder with results.")
        own = [folder] if (folder / FULL_SET).is_dir() else sorted(child for child in folder.iterdir() if (child / FULL_SET).is_dir())
        if not own:
            raise UsageError(f"{folder} holds no results: expected {FULL_SET}/<task>/<language>/<key>.png in it or in its folders.")
        for system in own:
            name = system.resolve().name
            if name in systems:
                raise UsageError(f"Two result folders are called {name}; rename one, since the folder's name is the system's.")
            systems[name] = system
    return systems


def _read(path: Path) -> Iterator[BenchCase]:
    if path.is_dir():
        found = next((path / name for name in CASE_FILES if (path / name).is_file()), None)
        parts = [found] if found else sorted(path.rglob("*.parquet"))
        if not parts:
            raise UsageError(f"The folder {path} holds no cases: expected {' or '.join(CASE_FILES)} or .parquet files.")
        for part in parts:
            yield from _read(part)
    elif not path.is_file():
        raise UsageError(f"There are no cases at {path}; give {HUB_PREFIX}{HUB_DATASET}, a Parquet, CSV or JSON Lines file, or a folder.")
    elif path.suffix == ".parquet":
        yield from _read_parquet(path)
    elif path.suffix in (".csv", ".jsonl"):
        yield from _read_table(path)
    else:
        raise UsageError(f"{path} does not end in .parquet, .csv or .jsonl; give the cases as one of these.")


def _read_parquet(path: Path) -> Iterator[BenchCase]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = set(file.schema_arrow.names)
        for column in (*_TEXT_COLUMNS, "input_image"):
            if column not in names:
                raise UsageError(f"{path} lacks the column {column}; it is not the benchmark's dataset.")
        wanted = [name for name in (*_TEXT_COLUMNS, "Intersection_exist") if name in names]
        for group in range(file.num_row_groups):
            for row, values in enumerate(file.read_row_group(group, columns=wanted).to_pylist()):
                shown = StoredCell(path, group, row, "input_image")
                source = StoredCell(path, group, row, "input_image_raw") if "input_image_raw" in names else shown
                yield _make_case(values, path, source, shown)
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{path} is not a whole Parquet file; get a new copy of it.") from error


def _read_table(path: Path) -> Iterator[BenchCase]:
    for values in read_whole_text(path):
        if not values.get("input_image"):
            raise UsageError(f"{path} has a row without input_image; name the picture to edit there.")
        shown = StoredFile(path.parent / str(values["input_image"]))
        raw = values.get("input_image_raw")
        truth = {name: StoredFile(path.parent / str(values[name])) for name in ("target", "region") if values.get(name)}
        yield _make_case(values, path, StoredFile(path.parent / str(raw)) if raw else shown, shown, truth)


def _make_case(
    values: Mapping[str, Any], path: Path, source: Stored, shown: Stored, truth: Mapping[str, Stored] | None = None
) -> BenchCase:
    for column in _TEXT_COLUMNS:
        if values.get(column) in (None, ""):
            raise UsageError(f"{path} has a row without {column}; add it.")
    task, key, instruction, language = (str(values[column]) for column in _TEXT_COLUMNS)
    if task not in TASKS:
        raise UsageError(f"{path} has the task {task!r}, which the benchmark lacks; use {', '.join(TASKS)}.")
    if language not in LANGUAGES:
        raise UsageError(f"{path} has the language {language!r}; use {' or '.join(LANGUAGES)}.")
    if key != Path(key).name or key.startswith(".") or "\\" in key or "\0" in key:
        raise UsageError(f"{path} has the key {key!r}, which cannot be the name of a file.")
    facts = values.get("facts")
    return BenchCase(
        task,
        language,
        key,
        instruction,
        source,
        shown,
        read_flag(values.get("Intersection_exist")),
        truth or {},
        facts if isinstance(facts, dict) else {},
    )


def read_flag(value: object) -> bool | None:
    """True or False as a table writes it; None where it is neither."""
    return {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}.get(str(value).strip().lower())


@lru_cache(maxsize=2)
def _read_column(path: Path, group: int, column: str) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path).read_row_group(group, columns=[column]).column(column)


def _download(dataset: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, HTTPError

    try:
        return Path(snapshot_download(dataset, repo_type="dataset", allow_patterns="*.parquet"))
    except (HFValidationError, HTTPError, OSError) as error:
        raise Step1XError(
            f"The dataset {dataset} could not be fetched from the hub ({first_line(error)}); give a local copy of it."
        ) from error
