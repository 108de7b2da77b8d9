"""The books of a build tell of every candidate, and hold on to none that was rejected."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from step1x_edit.data.books import REJECTED, REJECTED_PICTURES, Books
from step1x_edit.data.jobs import Job
from step1x_edit.data.pipeline import pack_small
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.selection import Fate, Row, Selection
from step1x_edit.data.shards import read_tar, to_tar
from step1x_edit.data.slots import COMPOSED, Slot, name_candidate
from step1x_edit.data.storage import read_lines
from step1x_edit.types import EditCategory

SLOT = Slot(EditCategory.COLOR_ALTERATION, COMPOSED)
BLURRED = {"stage": "sharpness", "reason": "the pictures are not sharp"}


def row(number: int, index: int, values: dict[str, object] | None = None) -> Row:
    """A candidate that has passed, whose hash is far from all others, or one of which `values` say otherwise."""
    said: dict[str, object] = {"id": name_candidate(SLOT, index), "route": COMPOSED, "stage": "", "reason": "", "numbers": {}}
    said |= {"hash": f"{(1 << 128) // 257 * (index + 1) % (1 << 128):032x}"} | ({"at": [index, 1]} if values is None else values)
    return Row((number, index, SLOT.order), SLOT, said, f"round-{number}/00000.tar")


def test_every_candidate_is_kept_or_written_down_or_spare(recipe: DataRecipe, tmp_path: Path) -> None:
    job = Job(tmp_path, recipe.model_copy(update={"rejected_pictures": 1}))
    small = pack_small(*(np.full((8, 8, 3), shade, np.uint8) for shade in (10, 200)))
    stretch = to_tar("any", small)
    for number in range(2):
        job.round(number).mkdir(parents=True)
        for ending in ("tar", "small"):
            (job.round(number) / f"00000.{ending}").write_bytes(stretch)
    selection, books = Selection({SLOT: 3}, distance=6), Books(job)
    first = [
        row(0, 0),
        row(0, 1, BLURRED),
        row(0, 2, {"hash": row(0, 0).values["hash"], "at": [0, len(stretch)]}),
        row(0, 3, BLURRED | {"small": [0, len(stretch)]}),
    ]
    second = [row(1, 4, BLURRED | {"small": [0, len(stretch)]}), row(1, 5), row(1, 6), row(1, 7)]
    for rows in (first, second):
        books.enter(map(selection.settle, rows))
    books.close()
    assert [name for name, *_ in books.picks] == [name_candidate(SLOT, index) for index in (0, 5, 6)]
    assert books.picks[1] == (name_candidate(SLOT, 5), "round-1/00000.tar", 5, 1)
    rejected = [*read_lines(tmp_path / REJECTED)]
    assert [(entry["id"], entry["stage"]) for entry in rejected] == [
        (name_candidate(SLOT, index), stage) for index, stage in ((1, "sharpness"), (2, "duplicates"), (3, "sharpness"), (4, "sharpness"))
    ]
    assert rejected[1]["numbers"]["duplicates"] == {"of": name_candidate(SLOT, 0), "bits": 0}
    assert not any({"hash", "at", "small"} & entry.keys() for entry in rejected)
    duplicate, blurred = (files for _, files in read_tar(tmp_path / REJECTED_PICTURES))
    assert blurred == small
    assert duplicate.keys() == small.keys()
    assert selection.fates == {
        Fate(SLOT, COMPOSED, "", ""): 3,
        Fate(SLOT, COMPOSED, *BLURRED.values()): 3,
        Fate(SLOT, COMPOSED, "duplicates", "nearly the same pictures as an earlier triplet"): 1,
        Fate(SLOT, COMPOSED, "spare", "the category was full already"): 1,
    }


def test_no_rejected_candidate_stays_in_memory(recipe: DataRecipe, tmp_path: Path) -> None:
    gone = 0

    def leave() -> None:
        nonlocal gone
        gone += 1

    def come() -> Iterator[Row]:
        for index in range(500):
            candidate = row(0, index, BLURRED if index % 20 else None)
            weakref.finalize(candidate, leave)
            yield candidate
            assert gone >= index - 3

    books = Books(Job(tmp_path, recipe))
    books.enter(map(Selection({SLOT: 500}, distance=6).settle, come()))
    assert len(books.picks) == 25
    assert gone >= 499
