"""Every single answer as a table, without anything that identifies a person.

One row a judged result; a skipped comparison is one row without a result. People are numbers that are drawn anew for every export; times
are whole seconds; of addresses, links and moments the study knows nothing in the first place, or does not export it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.study.assignment import DECOY
from step1x_edit.study.ballots import Record, find_inattentive

COLUMNS: dict[str, type] = {
    "person": int,
    "position": int,
    "kind": str,
    "task": str,
    "language": str,
    "key": str,
    "intersection": bool,
    "slot": int,
    "system": str,
    "place": int,
    "overall": int,
    "identity": int,
    "seconds": int,
    "skipped": str,
    "attentive": bool,
}
"""Name and type of every column. `slot` counts from 1 in the order shown; `system` is `DECOY_NAME` for the decoy of an attention check."""

DECOY_NAME = "(decoy)"

Row = tuple[int | str | bool | None, ...]


def list_rows(record: Record, allowed_failures: int = 0) -> Iterator[Row]:
    """The rows of a study's table, in the order of `COLUMNS`."""
    inattentive = find_inattentive(record.ballots, allowed_failures)
    names = {**record.systems, DECOY: DECOY_NAME}
    for b in record.ballots:
        about = (b.person, b.position, b.kind.value, b.task, b.language, b.key, b.common)
        after = (round(b.seconds), b.skipped, b.person not in inattentive)
        if b.skipped is not None:
            yield (*about, None, None, None, None, None, *after)
            continue
        for slot, (system, place, overall, identity) in enumerate(zip(b.systems, b.places, b.overall, b.identity, strict=True), 1):
            yield (*about, slot, names[system], place, overall, identity, *after)


def export(record: Record, target: Path, allowed_failures: int = 0) -> int:
    """Write a study's table; its ending says how.

    Args:
        record: the study.
        target: a `.csv` or `.parquet` file; replaced as a whole, or not at all.
        allowed_failures: whoever failed more attention checks than this is marked as inattentive.

    Returns:
        How many rows were written.

    Raises:
        UsageError: the ending is another.
        UsageError, Step1XError: as for `write_whole`.
    """
    if target.suffix not in WRITERS:
        raise UsageError(f"{target} ends neither in .csv nor in .parquet; give the table one of these endings.")
    rows = list(list_rows(record, allowed_failures))
    write_whole(target, partial(WRITERS[target.suffix], rows))
    return len(rows)


def write_whole(target: Path, write: Callable[[Path], object]) -> None:
    """Have a file written that appears when it is whole, or not at all.

    Raises:
        UsageError: its folder does not exist.
        Step1XError: it cannot be written.
    """
    if not target.parent.is_dir():
        raise UsageError(f"The folder {target.parent} does not exist; create it first.")
    unfinished = target.with_name(f".{target.name}.part")
    try:
        write(unfinished)
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise Step1XError(f"{target} cannot be written ({error.strerror or error}); choose another place with --out.") from error


def _write_csv(rows: list[Row], target: Path) -> None:
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([str(value).lower() if isinstance(value, bool) else value for value in row] for row in rows)


def _write_parquet(rows: list[Row], target: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    types = {int: pyarrow.int32(), str: pyarrow.string(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in COLUMNS]
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), target)


WRITERS: dict[str, Callable[[list[Row], Path], None]] = {".csv": _write_csv, ".parquet": _write_parquet}
