"""Exports and imports under way: nothing that a reader takes for a set until all of it is there, and room for the next one after a kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from step1x_edit.data.shards import SET
from step1x_edit.data.storage import PARTIAL, check_new, make_folder

WORK, UNFINISHED = "work", ".unfinished"
"""Folder of an imported set's shards until all of them are written, and of an export."""

_MOVING = ".moving"
"""Lies in an export's folder from when its files take their places: before, nothing beside that folder is of the export."""

METADATA, METADATA_EN, METADATA_ZH, ATTRIBUTION = "metadata.jsonl", "metadata_en.json", "metadata_zh.json", "ATTRIBUTION.csv"

_EXPORTED = ("source", "target", "mask", "data", METADATA, METADATA_EN, METADATA_ZH, ATTRIBUTION)
"""Everything that an export of a set made here consists of."""


def check_free(out: Path) -> None:
    """Take away what an import or export that was killed has left, and raise UsageError where anything else is there."""
    work, unfinished = out / WORK, out / UNFINISHED
    if unfinished.is_dir():
        if (unfinished / _MOVING).exists():
            _remove(out / name for name in _EXPORTED)  # what has taken its place already
        shutil.rmtree(unfinished)
    if work.is_dir() and all(path.name.startswith("triplets-") for path in work.iterdir()):
        others = [path for path in out.iterdir() if path != work]
        if all(path.name == SET or (path.name.startswith(f"{SET}.") and path.suffix == PARTIAL) for path in others):
            _remove(others)
            shutil.rmtree(work)
    check_new(out)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def export_whole(out: Path) -> Iterator[Path]:
    """A folder to export into, which other libraries pass over; all of it goes to `out` at the end, what lists the files last."""
    place = out / UNFINISHED
    make_folder(place)
    try:
        yield place
        paths = sorted(place.iterdir(), key=lambda path: (path.is_file(), path.name))
        (place / _MOVING).touch()
        for path in paths:
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
